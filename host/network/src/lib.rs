//! The parts that all HTTP clients of the host share, those of sources and those of sinks.
//!
//! The proxies that the environment names are told apart from the servers behind them, a client shows its
//! certificate to servers that demand one, and a failed request is described by what stands in its way.
//! Nothing here sends a request, and no description holds a path, a query or a secret.

#![warn(missing_docs, unreachable_pub)]

mod fault;
pub mod proxy;
mod tls;

pub use fault::{failed, fault, layers, shown};
pub use tls::{ClientTls, TlsError, with_tls};
