//! A door in front of a server, through which its faults are put: gone, silent, saying something else,
//! cut off. The server behind it stays as it is.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use socket2::{Domain, Socket, Type};

/// When nothing more has come for so long, the question is whole.
const QUIET: Duration = Duration::from_millis(50);

/// What whoever connects finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The server.
    None,
    /// Nobody: connections are refused, as after the end of the server's process.
    Gone,
    /// Somebody who takes everything and says nothing.
    Silent,
    /// These bytes, whatever was asked, and nothing more.
    Says(Vec<u8>),
    /// These bytes, whatever was asked, and the end of the connection.
    Cut(Vec<u8>),
}

/// A place to listen that stays the same whatever fault is put there.
pub struct Door {
    address: SocketAddr,
    server: SocketAddr,
    shared: Arc<Shared>,
    period: Mutex<Option<Period>>,
    // Bound, but not listening: it keeps the port for times when nobody listens.
    _place: Socket,
}

/// The time from one fault to the next.
struct Period {
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    open: Mutex<BTreeMap<usize, TcpStream>>,
}

impl Door {
    /// Opens a door that leads to this server.
    ///
    /// # Errors
    /// No port is free.
    pub fn to(server: SocketAddr) -> anyhow::Result<Self> {
        let place = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        place.set_reuse_address(true)?;
        place.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        let address = place.local_addr()?.as_socket().context("no address")?;
        let door = Self { address, server, shared: Arc::default(), period: Mutex::default(), _place: place };
        door.set(Fault::None);
        Ok(door)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Ends all connections and puts this fault in the place of what was there.
    ///
    /// # Panics
    /// Somebody else took its port meanwhile.
    pub fn set(&self, fault: Fault) {
        let mut period = self.period.lock().unwrap();
        if let Some(last) = period.take() {
            last.over.store(true, Ordering::SeqCst);
            // It waits for a connection.
            drop(TcpStream::connect(self.address));
            last.thread.join().unwrap();
        }
        for stream in self.shared.open.lock().unwrap().values() {
            // Its peer may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
        if fault == Fault::Gone {
            return;
        }
        let listener = TcpListener::bind(self.address).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (seen, server, shared) = (Arc::clone(&over), self.server, Arc::clone(&self.shared));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                let id = shared.connections.fetch_add(1, Ordering::SeqCst);
                shared.open.lock().unwrap().insert(id, stream.try_clone().unwrap());
                let (fault, shared) = (fault.clone(), Arc::clone(&shared));
                std::thread::spawn(move || {
                    // However it ends, it is over.
                    let _ = serve(&stream, &fault, server);
                    let _ = stream.shutdown(Shutdown::Both);
                    shared.open.lock().unwrap().remove(&id);
                });
            }
        });
        *period = Some(Period { over, thread });
    }
}

fn serve(mut stream: &TcpStream, fault: &Fault, server: SocketAddr) -> std::io::Result<()> {
    match fault {
        Fault::Gone => {}
        Fault::None => {
            let mut behind = TcpStream::connect(server)?;
            let (mut there, mut from) = (behind.try_clone()?, stream.try_clone()?);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut there);
                let _ = there.shutdown(Shutdown::Both);
            });
            std::io::copy(&mut behind, &mut stream)?;
        }
        Fault::Silent => {
            std::io::copy(&mut stream, &mut std::io::sink())?;
        }
        Fault::Says(bytes) | Fault::Cut(bytes) => {
            take_question(stream)?;
            stream.write_all(bytes)?;
            if matches!(fault, Fault::Says(_)) {
                std::io::copy(&mut stream, &mut std::io::sink())?;
            }
        }
    }
    Ok(())
}

/// Reads until something has come and nothing more comes.
fn take_question(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    let mut size = stream.read(&mut buffer)?;
    stream.set_read_timeout(Some(QUIET))?;
    while size > 0 {
        size = stream.read(&mut buffer).unwrap_or(0);
    }
    stream.set_read_timeout(None)
}
