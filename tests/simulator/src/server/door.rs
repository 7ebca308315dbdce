//! The port of an origin, which can be closed for a while.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Closes a port from anywhere; the loop that accepts connections does the work.
#[derive(Debug)]
pub(crate) struct Door {
    closed: AtomicBool,
    /// For how long it is to be closed; each change is a closing.
    pause: watch::Sender<Duration>,
    /// How often it was closed.
    times: watch::Sender<u64>,
}

impl Door {
    pub(super) fn new() -> Self {
        Door {
            closed: AtomicBool::new(false),
            pause: watch::Sender::new(Duration::ZERO),
            times: watch::Sender::new(0),
        }
    }

    /// Closes the port for this long (real time), unless it is closed already.
    ///
    /// When this returns, connections are refused.
    pub(super) async fn close(&self, pause: Duration) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut times = self.times.subscribe();
        let before = *times.borrow_and_update();
        self.pause.send_replace(pause);
        // The sender is a field of this: it does not end before.
        let _ = times.wait_for(|times| *times > before).await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Reports each closing from now on.
    pub(super) fn closings(&self) -> watch::Receiver<Duration> {
        self.pause.subscribe()
    }

    /// Gives up the listener, so that connections are refused, and gets its port back later.
    pub(super) async fn pass(&self, listener: TcpListener) -> io::Result<TcpListener> {
        let address = listener.local_addr()?;
        let pause = *self.pause.borrow();
        drop(listener);
        // Bound without listening: the system refuses connections, and lends the port to nobody.
        let held = bound(address);
        self.times.send_modify(|times| *times += 1);
        tokio::time::sleep(pause).await;
        let mut opened = held.and_then(|socket| socket.listen(BACKLOG));
        let listener = loop {
            match opened {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            opened = bound(address).and_then(|socket| socket.listen(BACKLOG));
        };
        self.closed.store(false, Ordering::Release);
        Ok(listener)
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
