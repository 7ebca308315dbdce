//! Kinds of splits: the state, the step and the continuation of each.
//!
//! A source is a few kinds of splits, each a type of its own with a method `step`. [`splits!`] names
//! them once; from that come the versioned state that the host keeps, the dispatch of a step to its
//! kind, and for each kind the methods of [`SplitKind`].
//!
//! [`splits!`]: crate::splits

use serde::{Serialize, de::DeserializeOwned};

use crate::{Event, Job, Next, Request, Send, SourceError, Split, State, Step, Timestamp, Wait};

/// The states of all kinds of splits of a source: an enum that [`splits!`](crate::splits) makes.
pub trait Splits: Serialize + DeserializeOwned {
    /// The source's options, as steps take them.
    type Options;

    /// The version that is written, and the only one that is read.
    const VERSION: u32;

    /// The word for this kind of split in logs and figures.
    fn kind(&self) -> &'static str;

    /// Takes the split one step further, as its kind does.
    ///
    /// # Errors
    /// Any error of the kind's `step`.
    fn step(
        self,
        options: &Self::Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError>;

    /// The state as the host keeps it.
    fn write(&self) -> State {
        State::write(Self::VERSION, self)
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`SourceError::IncompatibleState`] if another version wrote it.
    fn read(state: &State) -> Result<Self, SourceError> {
        state.read(Self::VERSION)
    }
}

/// One kind of split. The state that goes along with each of these is the split's as it is now:
/// change it first, then say what is next.
pub trait SplitKind: Clone {
    /// The states among which this one is.
    type Splits: Splits + From<Self>;

    /// The state as the host keeps it.
    fn state(&self) -> State {
        Self::Splits::from(self.clone()).write()
    }

    /// A new split that begins with this state.
    fn into_split(self, id: impl Into<String>) -> Split {
        let state = Self::Splits::from(self);
        Split {
            id: id.into(),
            kind: state.kind().to_owned(),
            state: state.write(),
        }
    }

    /// Next: the response to a request.
    fn send(&self, request: Request) -> Next {
        Next::Send(Send {
            request,
            state: self.state(),
        })
    }

    /// Next: another step, as soon as it is `until` (ms since the epoch).
    fn wait(&self, until: Timestamp) -> Next {
        Next::Wait(Wait {
            until,
            state: self.state(),
            job: None,
        })
    }

    /// Next: another step, when a job of the vendor's is likely to be done; `until` at the earliest.
    fn wait_for(&self, job: Job, until: Timestamp) -> Next {
        Next::Wait(Wait {
            until,
            state: self.state(),
            job: Some(job),
        })
    }

    /// Next: nothing. A `refresh` begins with this state.
    fn done(&self) -> Next {
        Next::Done(self.state())
    }
}

/// Names the kinds of splits of a source, each by a type and the word for it in logs and figures.
///
/// It makes an enum that implements [`Splits`](crate::Splits), and implements
/// [`SplitKind`](crate::SplitKind) for each of the types. A type is `Clone`, `Debug`, `Serialize` and
/// `Deserialize`, and has a method `step(self, &Options, Event, Timestamp) -> Result<Step, SourceError>`.
///
/// A state is JSON: the type's fields, and `split` with the variant's name in snake case. So a variant
/// keeps its name, and a field that is added has a default, for as long as the version is the same.
///
/// ```
/// use recording_source_sdk::{
///     Event, Next, Request, SourceError, SplitKind, Splits, Step, Timestamp, splits,
/// };
/// use serde::{Deserialize, Serialize};
///
/// struct Options {
///     url: String,
/// }
///
/// /// Walks a list page by page.
/// #[derive(Clone, Debug, Serialize, Deserialize)]
/// struct Walk {
///     page: u32,
/// }
///
/// impl Walk {
///     fn step(mut self, options: &Options, event: Event, _: Timestamp) -> Result<Step, SourceError> {
///         if let Event::Response(answer) = event {
///             if answer?.status == 404 {
///                 return Ok(Step::then(self.done()));
///             }
///             self.page += 1;
///         }
///         let request = Request::get(format!("{}?page={}", options.url, self.page));
///         Ok(Step::then(self.send(request)))
///     }
/// }
///
/// splits! {
///     /// The state of a split.
///     enum SplitState: version 1, options Options {
///         Walk(Walk) = "pages",
///     }
/// }
///
/// let split = Walk { page: 1 }.into_split("find/0");
/// assert_eq!(split.kind, "pages");
/// assert_eq!(split.state.data, br#"{"split":"walk","page":1}"#);
///
/// // As in `Source::step`:
/// let options = Options { url: "https://calls.example/list".to_owned() };
/// let step = SplitState::read(&split.state)?.step(&options, Event::Resume, 0)?;
/// assert!(matches!(step.next, Next::Send(send) if send.request.url.ends_with("?page=1")));
/// # Ok::<(), SourceError>(())
/// ```
#[macro_export]
macro_rules! splits {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident: version $version:literal, options $options:ty {
            $($variant:ident($state:ty) = $kind:literal),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, $crate::serde::Serialize, $crate::serde::Deserialize)]
        #[serde(crate = "recording_source_sdk::serde", tag = "split", rename_all = "snake_case")]
        $visibility enum $name {
            $(#[allow(missing_docs)] $variant($state),)+
        }

        impl $crate::Splits for $name {
            type Options = $options;

            const VERSION: u32 = $version;

            fn kind(&self) -> &'static str {
                match self {
                    $($name::$variant(_) => $kind,)+
                }
            }

            fn step(
                self,
                options: &$options,
                event: $crate::Event,
                now: $crate::Timestamp,
            ) -> ::core::result::Result<$crate::Step, $crate::SourceError> {
                match self {
                    $($name::$variant(state) => state.step(options, event, now),)+
                }
            }
        }

        $(
            impl ::core::convert::From<$state> for $name {
                fn from(state: $state) -> Self {
                    $name::$variant(state)
                }
            }

            impl $crate::SplitKind for $state {
                type Splits = $name;
            }
        )+
    };
}
