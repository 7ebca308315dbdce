//! Why a call of a component failed, in words for its author.
//!
//! The memory of a component that trapped is not shown: it may hold personal data.

use recording_host_sandbox::LONGEST_CALL;
use wasmtime::{Trap, WasmBacktrace};

use crate::component::RESULT;

/// The most functions that are named of those that were running.
const MOST_FUNCTIONS: usize = 6;
/// The most characters of a function's name.
const MOST_NAME: usize = 80;

/// The cause of a failed call and what to change.
pub(crate) fn reason(call: &str, error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    let text = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => format!(
            "it used the processor for more than {} seconds; one call should do less, so spread the work over more steps or splits",
            LONGEST_CALL.as_secs()
        ),
        Some(Trap::UnreachableCodeReached) => trapped(call).to_owned(),
        Some(Trap::StackOverflow) => {
            "its calls are nested too deeply; look for a recursion without an end".to_owned()
        }
        _ if cause.contains("fuel allocated for hostcalls") => format!(
            "it returned more than {} MiB; return less in one step",
            RESULT >> 20
        ),
        _ => cause,
    };
    match running(error) {
        names if names.is_empty() => text,
        names => format!("{text} (in {})", names.join(", called by ")),
    }
}

/// What a trap may be without any other sign; `call` is the function.
fn trapped(call: &str) -> &'static str {
    match call {
        "describe" => {
            "it panicked, or the code does not export `source` by that name, or its description is not of the type in the WIT (a missing field, a wrong name of a case)"
        }
        _ => {
            "it panicked, threw something other than a `source-error`, or returned a value that is not of its type in the WIT (a missing field, a wrong name of a case, a BigInt from JavaScript). A component has nowhere to print: return an error such as `permanent` with a text, or in Rust see the message in a test with `TestDriver`"
        }
    }
}

/// The functions that were running, the innermost first, as far as the component has their names.
fn running(error: &wasmtime::Error) -> Vec<String> {
    let frames = error
        .downcast_ref::<WasmBacktrace>()
        .map(WasmBacktrace::frames);
    let names = frames.into_iter().flatten().filter_map(|frame| {
        let name = format!("{:#}", rustc_demangle::demangle(frame.func_name()?));
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        Some(name.chars().take(MOST_NAME).collect::<String>())
    });
    // The machinery of a panic says nothing of its cause.
    let names = names.filter(|name| {
        let of_a_panic = name.contains("panic") || name.starts_with("rust_");
        // The call itself is named anyway.
        !of_a_panic && !name.starts_with("recording:source/")
    });
    names.take(MOST_FUNCTIONS).collect()
}
