//! What `/proc` says, as values: plain functions on text that skip what they cannot read and never panic.
//!
//! A last line that was cut off is skipped too: every parser wants to see the field after the last one that it reads, so
//! half an inode number is never taken for a whole one. The formats are those of proc(5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{FileId, Pid, ProcessState, ProcessStatus, TcpRow, TcpState, Tick, Uid};

/// `/proc/PID/stat`.
///
/// A process chooses its own name, so the name ends at the last `)` of the line and nowhere before.
pub(super) fn process_status(text: &str) -> Option<ProcessStatus> {
    let (head, tail) = text.rsplit_once(')')?;
    let (_pid, name) = head.split_once('(')?;
    let mut fields = tail.split_ascii_whitespace();
    let state = process_state(fields.next()?)?;
    let parent = Pid::new(fields.next()?.parse().ok()?);
    let start = Tick(fields.nth(17)?.parse().ok()?);
    fields.next()?;
    Some(ProcessStatus { name: name.to_owned(), state, parent, start })
}

/// `/proc/PID/cmdline`: arguments that end in NUL, joined by blanks.
pub(super) fn command(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', " ").trim_end().to_owned()
}

/// One line of `/proc/locks`: a flock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockRow {
    /// The locked file.
    pub(super) file: FileId,
    /// Who took the lock. May be dead while a child still holds it.
    pub(super) taken_by: Pid,
}

/// `/proc/locks`: the flocks that are held, by processes that are visible here.
pub(super) fn lock_table(text: &str) -> Vec<LockRow> {
    let visible = |(file, taken_by): (FileId, Option<Pid>)| Some(LockRow { file, taken_by: taken_by? });
    text.lines().filter_map(flock).filter_map(visible).collect()
}

/// `/proc/PID/fdinfo/FD`: the files that this descriptor holds a flock on, whoever took it.
pub(super) fn descriptor_locks(text: &str) -> impl Iterator<Item = FileId> {
    text.lines().filter_map(|line| line.strip_prefix("lock:")).filter_map(flock).map(|(file, _)| file)
}

/// What a descriptor of a socket links to: `socket:[INODE]`.
pub(super) fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// `/proc/net/tcp` or `tcp6`.
pub(super) fn tcp_table(text: &str) -> Vec<TcpRow> {
    text.lines().filter_map(tcp_row).collect()
}

fn process_state(letter: &str) -> Option<ProcessState> {
    match letter {
        // W and P: waking and parked, both rare and short.
        "R" | "S" | "I" | "W" | "P" => Some(ProcessState::Running),
        "D" | "K" => Some(ProcessState::Uninterruptible),
        "T" | "t" => Some(ProcessState::Stopped),
        "Z" | "X" | "x" => Some(ProcessState::Zombie),
        _ => None,
    }
}

/// One flock that is held: `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`. One that is waited for has an arrow in
/// the place of its kind. The pid is 0 if it is not visible from here, and of whom it was is then unknown.
fn flock(line: &str) -> Option<(FileId, Option<Pid>)> {
    let mut fields = line.split_ascii_whitespace();
    let _ordinal = fields.next()?;
    if fields.next()? != "FLOCK" {
        return None;
    }
    let taken_by = fields.nth(2)?.parse().ok().and_then(Pid::new);
    let file = file_id(fields.next()?)?;
    fields.next()?;
    Some((file, taken_by))
}

/// `MAJOR:MINOR:INODE`, the first two in hexadecimal.
///
/// The device is that of the superblock. stat(2) says the same except on file systems that make up a device for each
/// subvolume (btrfs) or layer (some overlays).
fn file_id(text: &str) -> Option<FileId> {
    let (device, inode) = text.rsplit_once(':')?;
    let (major, minor) = device.split_once(':')?;
    let number = |hex| u32::from_str_radix(hex, 16).ok();
    let device = rustix::fs::makedev(number(major)?, number(minor)?);
    Some(FileId { device, inode: inode.parse().ok()? })
}

fn tcp_row(line: &str) -> Option<TcpRow> {
    let mut fields = line.split_ascii_whitespace();
    let local = address(fields.nth(1)?)?;
    let state = tcp_state(fields.nth(1)?)?;
    let uid = Uid(fields.nth(3)?.parse().ok()?);
    let socket = fields.nth(1)?.parse().ok()?;
    fields.next()?;
    Some(TcpRow { local, state, uid, socket })
}

fn tcp_state(hex: &str) -> Option<TcpState> {
    match u8::from_str_radix(hex, 16).ok()? {
        0x0A => Some(TcpState::Listen),
        0x06 => Some(TcpState::TimeWait),
        _ => Some(TcpState::Connected),
    }
}

/// `ADDRESS:PORT`, the address in words of 32 bits as they lie in memory, each printed as a number of this machine.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = address.as_bytes().chunks(8).map(word).collect::<Option<Vec<_>>>()?;
    let address = match words.as_slice() {
        [word] => IpAddr::V4(Ipv4Addr::from(*word)),
        [_, _, _, _] => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

fn word(hex: &[u8]) -> Option<[u8; 4]> {
    if hex.len() != 8 {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok().map(u32::to_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of `/proc/PID/stat` for a process of this name and state.
    fn stat(name: &str, state: &str) -> String {
        format!(
            "4242 ({name}) {state} 17 4242 4242 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 99887766 1000 200 18446"
        )
    }

    fn pid(raw: u32) -> Option<Pid> {
        Pid::new(raw)
    }

    #[test]
    fn a_process_cannot_fake_its_state_by_its_name() {
        for name in ["sleep", "a) R (b", ") Z 1 (", "two words", "", "((("] {
            let status = process_status(&stat(name, "S"));
            let expected = ProcessStatus {
                name: name.to_owned(),
                state: ProcessState::Running,
                parent: pid(17),
                start: Tick(99_887_766),
            };
            assert_eq!(status, Some(expected));
        }
    }

    #[test]
    fn every_state_letter_of_the_kernel_is_known() {
        let state = |letter: char| process_status(&stat("x", &letter.to_string())).map(|status| status.state);
        for (letters, expected) in [
            ("RSIWP", Some(ProcessState::Running)),
            ("DK", Some(ProcessState::Uninterruptible)),
            ("Tt", Some(ProcessState::Stopped)),
            ("ZXx", Some(ProcessState::Zombie)),
            ("Q?", None),
        ] {
            letters.chars().for_each(|letter| assert_eq!(state(letter), expected, "{letter}"));
        }
    }

    #[test]
    fn a_process_without_a_visible_parent_has_none() {
        let line = stat("init", "S").replace(" 17 ", " 0 ");
        assert_eq!(process_status(&line).and_then(|status| status.parent), None);
    }

    #[test]
    fn arguments_are_joined_by_blanks() {
        assert_eq!(command(b"refgate\0gateway\0--port\x0018789\0"), "refgate gateway --port 18789");
        assert_eq!(command(b"\xffodd"), "\u{fffd}odd");
        assert_eq!(command(b""), "");
    }

    #[test]
    fn the_lock_table_holds_flocks_that_are_held_by_somebody_visible() {
        let text = "\
1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF
1: -> FLOCK  ADVISORY  WRITE 1235 08:01:5678 0 EOF
2: POSIX  ADVISORY  READ  1236 08:01:9 128 128
3: OFDLCK ADVISORY  WRITE -1 08:01:10 0 EOF
4: FLOCK  ADVISORY  READ  0 08:01:11 0 EOF
5: LEASE  ACTIVE    READ  1237 08:01:12 0 EOF
6: FLOCK  ADVISORY  READ  1238 103:1f:18446744073709551615 0 EOF
garbage
";
        let row = |raw, major, minor, inode| {
            let file = FileId { device: rustix::fs::makedev(major, minor), inode };
            LockRow { file, taken_by: pid(raw).unwrap() }
        };
        assert_eq!(lock_table(text), [row(1234, 8, 1, 5678), row(1238, 0x103, 0x1f, u64::MAX)]);
    }

    #[test]
    fn the_lock_of_a_descriptor_is_seen_even_if_its_taker_is_gone() {
        let text = "pos:\t0\nflags:\t02100000\nmnt_id:\t30\nino:\t5678\n\
                    lock:\t1: FLOCK  ADVISORY  WRITE 0 08:01:5678 0 EOF\n\
                    lock:\t2: POSIX  ADVISORY  WRITE 9 08:01:5678 0 EOF\n";
        let file = FileId { device: rustix::fs::makedev(8, 1), inode: 5678 };
        assert_eq!(descriptor_locks(text).collect::<Vec<_>>(), [file]);
    }

    #[test]
    fn only_sockets_have_socket_inodes() {
        assert_eq!(socket_inode("socket:[80213]"), Some(80213));
        for other in ["pipe:[80213]", "/tmp/socket:[80213]", "socket:[", "socket:[]", "socket:[x]", ""] {
            assert_eq!(socket_inode(other), None, "{other}");
        }
    }

    #[cfg(target_endian = "little")]
    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 80213 1 0000000000000000 100 0 0 10 0
   1: 0100007F:4965 0100007F:EA60 06 00000000:00000000 03:00000176 00000000     0        0 0 3 0000000000000000
   2: 0201A8C0:EA60 08080808:01BB 01 00000000:00000000 00:00000000 00000000     0        0 7 1 0000000000000000 20 4 30 10 -1
";

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_are_read_in_the_byte_order_of_the_network() {
        let row = |local: &str, state, uid, socket| TcpRow {
            local: local.parse().unwrap(),
            state,
            uid: Uid(uid),
            socket,
        };
        let expected = [
            row("127.0.0.1:18789", TcpState::Listen, 1000, 80213),
            row("127.0.0.1:18789", TcpState::TimeWait, 0, 0),
            row("192.168.1.2:60000", TcpState::Connected, 0, 7),
        ];
        assert_eq!(tcp_table(TCP), expected);
        let six = "0: 00000000000000000000000001000000:4965 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 5 1";
        assert_eq!(tcp_table(six), [row("[::1]:18789", TcpState::Listen, 0, 5)]);
        let other = "0: B80D0120000000000000000001000000:0001 0:0 0A 0:0 00:0 0 0 0 5 1";
        assert_eq!(tcp_table(other), [row("[2001:db8::1]:1", TcpState::Listen, 0, 5)]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_text_cut_anywhere_yields_a_part_of_the_rows_and_no_wrong_one() {
        let locks =
            "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF\n2: FLOCK  ADVISORY  READ 5 08:01:9012 0 EOF\n";
        let (all_rows, all_locks) = (tcp_table(TCP), lock_table(locks));
        let line = stat("a) R (b", "S");
        let status = process_status(&line);
        for end in 0..TCP.len() {
            assert!(all_rows.starts_with(&tcp_table(&TCP[..end])), "{end}");
        }
        for end in 0..locks.len() {
            assert!(all_locks.starts_with(&lock_table(&locks[..end])), "{end}");
        }
        for end in 0..line.len() {
            let cut = process_status(&line[..end]);
            assert!(cut.is_none() || cut == status, "{end}");
        }
    }
}
