//! The port: whether it is free, who is cleared from it, and the life of a listener.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use portcullis_os::{Descriptor, Errno, Os, Port, Round, Signal, TcpState};

use super::{ATTEMPTS, Generation, Refused};

/// How many connections may wait, and one more. As much shorter than Node's 511 as there are fewer looks than polls: those
/// of one contender fit, those of two do not.
const BACKLOG: u16 = ATTEMPTS as u16 - 1;
/// How long a connection is waited for before the port is taken for free, in milliseconds.
const PROBE_MS: u32 = 1000;
/// How long to wait before the next attempt to listen, in milliseconds.
const RETRY_MS: u32 = 500;
/// How long a process that was asked to stop is given, in milliseconds.
const PATIENCE_MS: u32 = 600;
/// How long one that was killed is given, in milliseconds.
const DEATH_MS: u32 = 400;

/// How its health is asked for, and what is well.
const QUESTION: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const HEALTHY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/// How much of either is read, in bytes.
const LONGEST: u32 = 4096;

fn loopback(port: Port) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port.get()))
}

/// Whether nobody takes a connection to a port. An owner that takes none in time counts as nobody.
pub(super) async fn is_free<O: Os>(os: &O, port: Port) -> bool {
    match os.connect_tcp(loopback(port), PROBE_MS).await {
        Ok(stream) => {
            let _ = stream.close().await;
            false
        }
        Err(_) => true,
    }
}

/// Listens on the port of a gateway. Whoever else is there is said to be a gateway.
pub(super) async fn listen<O: Os>(
    os: &O,
    generation: Generation,
    port: Port,
) -> Result<Descriptor<O>, Refused> {
    let attempts = if generation < Generation::G3 { 1 } else { ATTEMPTS };
    for attempt in 1..=attempts {
        match bind(os, port).await {
            Err(Errno::AddressInUse) if attempt < attempts => os.sleep(RETRY_MS).await?,
            Err(Errno::AddressInUse) => {}
            other => return Ok(other?),
        }
    }
    Err(Refused::Listening)
}

async fn bind<O: Os>(os: &O, port: Port) -> Result<Descriptor<O>, Errno> {
    let socket = os.bind_tcp(loopback(port)).await?;
    os.listen(&socket, BACKLOG).await?;
    Ok(socket)
}

/// Whether whoever listens on a port answers over HTTP with any status below 500. That is taken for a gateway that is well.
pub(super) async fn is_healthy<O: Os>(os: &O, port: Port) -> bool {
    let Ok(stream) = os.connect_tcp(loopback(port), PROBE_MS).await else { return false };
    let answer = match os.send(&stream, QUESTION.to_vec()).await {
        Ok(_) => os.receive(&stream, LONGEST, PROBE_MS).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let _ = stream.close().await;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    status.is_some_and(|status| status < 500)
}

/// Takes connections for as long as the process lives, and answers them where the health of others is asked for.
pub(super) fn answer<O: Os>(os: &O, generation: Generation, listener: &Descriptor<O>) {
    let (server, fd) = (os.clone(), listener.fd());
    os.repeat(move || {
        let server = server.clone();
        async move {
            match server.accept(vec![fd]).await {
                Ok((_, stream)) => {
                    if generation == Generation::G4
                        && server
                            .receive(&stream, LONGEST, PROBE_MS)
                            .await
                            .is_ok_and(|asked| !asked.is_empty())
                    {
                        let _ = server.send(&stream, HEALTHY.to_vec()).await;
                    }
                    let _ = stream.close().await;
                    Round::Again
                }
                Err(_) => Round::Over,
            }
        }
    });
}

/// Ends the gateways that listen on a port, whosever they are: first with a request, then without.
pub(super) async fn clear<O: Os>(os: &O, port: Port) -> Result<(), Errno> {
    let rows = os.tcp_sockets(port).await?.into_iter();
    let sockets: Vec<u64> = rows.filter(|row| row.state == TcpState::Listen).map(|row| row.socket).collect();
    if sockets.is_empty() {
        return Ok(());
    }
    let own = os.own_pid().await?;
    let mut targets = Vec::new();
    for pid in os.processes().await? {
        if pid == own {
            continue;
        }
        for socket in &sockets {
            if os.holds_socket(pid, *socket).await == Ok(true)
                && is_gateway(&os.process_command(pid).await.unwrap_or_default())
            {
                targets.push(pid);
            }
        }
    }
    for (signal, pause_ms) in [(Signal::Terminate, PATIENCE_MS), (Signal::Kill, DEATH_MS)] {
        for pid in &targets {
            let _ = os.kill(*pid, Some(signal)).await;
        }
        os.sleep(pause_ms).await?;
    }
    Ok(())
}

/// Whether a command line is that of a gateway, here of any design.
fn is_gateway(command: &str) -> bool {
    let mut words = command.split(' ');
    words.next().is_some_and(|program| program.ends_with("refgate")) && words.any(|word| word == "gateway")
}
