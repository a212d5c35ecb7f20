//! A new network namespace has a loopback device that is down: this takes it up, without root and without another program.

use std::net::{Ipv4Addr, TcpListener};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv, send, socket_with,
};

/// The first device of a network namespace is always its loopback.
const LOOPBACK_INDEX: i32 = 1;
/// `NLMSG_ERROR`: an answer; its error number is 0 if all went well.
const ANSWER: u16 = 2;
/// `RTM_NEWLINK`: create or change a device.
const CHANGE_LINK: u16 = 16;
/// `NLM_F_REQUEST | NLM_F_ACK`: carry it out and answer.
const REQUEST_AND_ANSWER: u16 = 1 | 4;
/// `IFF_UP`.
const UP: u32 = 1;
/// A header of 16 bytes (`nlmsghdr`), a device of 16 bytes (`ifinfomsg`).
const REQUEST_BYTES: u32 = 32;

/// Takes the loopback up. 127.0.0.1, and ::1 where the kernel has it, can be bound when this returns.
///
/// # Errors
///
/// What the kernel says, as a fragment of a sentence.
pub fn take_up() -> Result<(), String> {
    request().map_err(|errno| format!("the loopback device stays down: {errno}"))?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .map(drop)
        .map_err(|error| format!("127.0.0.1 cannot be bound: {error}"))
}

/// One request of rtnetlink(7) and its answer.
fn request() -> Result<(), Errno> {
    // Protocol 0 of this family is `NETLINK_ROUTE`.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
    send(&socket, &message(), SendFlags::empty())?;
    let mut answer = [0; 256];
    let (_, length) = recv(&socket, &mut answer, RecvFlags::empty())?;
    read(&answer[..length.min(answer.len())])
}

fn message() -> Vec<u8> {
    let mut message = Vec::with_capacity(REQUEST_BYTES as usize);
    message.extend(REQUEST_BYTES.to_ne_bytes());
    message.extend(CHANGE_LINK.to_ne_bytes());
    message.extend(REQUEST_AND_ANSWER.to_ne_bytes());
    // The sequence number and the sender: there is one request only, and the kernel fills the sender in.
    message.extend([0; 8]);
    // Any address family, padding, any device type.
    message.extend([0; 4]);
    message.extend(LOOPBACK_INDEX.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    // Which flags are meant.
    message.extend(UP.to_ne_bytes());
    message
}

/// Reads the answer: a header, then the negative error number or 0.
fn read(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let error = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(ANSWER), Some(0)) => Ok(()),
        (Some(ANSWER), Some(error)) => Err(Errno::from_raw_os_error(error.wrapping_neg())),
        _ => Err(Errno::BADMSG),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::{message, read};

    #[test]
    fn the_request_is_as_long_as_it_says() {
        let message = message();
        assert_eq!(message.len(), 32);
        assert_eq!(message[..4], 32_u32.to_ne_bytes());
    }

    #[test]
    fn an_answer_is_done_an_error_number_or_nonsense() {
        let answer = |error: i32| {
            let mut bytes = vec![0; 16];
            bytes[4..6].copy_from_slice(&2_u16.to_ne_bytes());
            bytes.extend(error.to_ne_bytes());
            bytes
        };
        assert_eq!(read(&answer(0)), Ok(()));
        assert_eq!(read(&answer(-1)), Err(Errno::PERM));
        assert_eq!(read(&answer(i32::MIN)[..10]), Err(Errno::BADMSG));
        assert_eq!(read(&[]), Err(Errno::BADMSG));
    }
}
