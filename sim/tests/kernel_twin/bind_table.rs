//! Who may have a port beside whom: the tables of Linux.

use portcullis_os::{BindOptions, Call, Errno, Uid};

use crate::twin::{First, Second, Twin, lan, process};

/// An address, and whether IPv6 is all that it is for.
type Place = (&'static str, bool);

const LAN: &str = "LAN";
const WIDE: [Place; 8] = [
    ("0.0.0.0", false),
    ("127.0.0.1", false),
    ("127.0.0.2", false),
    (LAN, false),
    ("[::]", false),
    ("[::]", true),
    ("[::1]", false),
    ("[::ffff:127.0.0.1]", false),
];

/// With `SO_REUSEADDR` on both, the first one listening. Rows: who came first. Columns: who came second. `x`: refused.
const WIDE_TABLE: [&str; 8] = [
    "xxxxx..x", // 0.0.0.0
    "xx..x..x", // 127.0.0.1
    "x.x.x...", // 127.0.0.2
    "x..xx...", // LAN
    "xxxxxxxx", // ::
    "....xxx.", // :: for IPv6 only
    "....xxx.", // ::1
    "xx..x..x", // ::ffff:127.0.0.1
];

const NARROW: [Place; 6] = [
    ("127.0.0.1", false),
    ("127.0.0.2", false),
    ("0.0.0.0", false),
    ("[::1]", false),
    ("[::]", false),
    ("[::]", true),
];

/// The same, as programs see it that set `SO_REUSEADDR` and know of no other option.
const NARROW_TABLE: [&str; 6] = ["x.x.x.", ".xx.x.", "xxx.x.", "...xxx", "xxxxxx", "...xxx"];

/// Whether there is an address of the local network to compare with. Where there is none, its row and column are held
/// to the table on the simulated machine alone.
fn is_real(place: Place) -> bool {
    place.0 != LAN || lan().is_some()
}

fn binding((ip, v6_only): Place, port: u16, reuse_address: bool, reuse_port: bool) -> Call {
    let lan = lan().map_or("192.0.2.10".to_owned(), |ip| ip.to_string());
    let address = format!("{}:{port}", ip.replace(LAN, &lan)).parse();
    Call::BindTcp { address: address.unwrap(), options: BindOptions { reuse_address, reuse_port, v6_only } }
}

/// What the two do.
#[derive(Clone, Copy, Debug)]
struct Case {
    first: Place,
    second: Place,
    /// `SO_REUSEADDR` and `SO_REUSEPORT` of each.
    options: [(bool, bool); 2],
    listens_first: bool,
}

/// Both bind and listen on both machines; how far the second one comes.
fn contest(twin: &mut Twin, port: u16, case: Case) -> Result<(), Errno> {
    let [one, two] = case.options;
    let held = twin.open(First, |_| binding(case.first, port, one.0, one.1)).unwrap();
    if case.listens_first {
        twin.ask(First, |it| Call::Listen { fd: it.fd(held), backlog: 1 }).unwrap();
    }
    let outcome = twin.open(Second, |_| binding(case.second, port, two.0, two.1)).and_then(|bound| {
        let listening = twin.ask(Second, |it| Call::Listen { fd: it.fd(bound), backlog: 1 });
        if !case.listens_first {
            let _ = twin.ask(First, |it| Call::Listen { fd: it.fd(held), backlog: 1 });
        }
        listening.map(|_| ())
    });
    twin.close_all();
    outcome
}

fn hold_to_table<const N: usize>(places: [Place; N], table: [&str; N]) {
    let mut twin = Twin::new();
    let [port] = twin.free_ports();
    for (first, row) in places.into_iter().zip(table) {
        for (second, expected) in places.into_iter().zip(row.chars()) {
            if !is_real(first) || !is_real(second) {
                continue;
            }
            for listens_first in [true, false] {
                let case = Case { first, second, options: [(true, false); 2], listens_first };
                let outcome = contest(&mut twin, port, case);
                // The one that only is bound excludes nobody; then the second one always comes to listen.
                let is_refused = expected == 'x' && listens_first;
                let expected = if is_refused { Err(Errno::AddressInUse) } else { Ok(()) };
                assert_eq!(outcome, expected, "{case:?}");
            }
        }
    }
}

#[test]
fn two_listeners_get_along_as_in_the_table_of_eight_addresses() {
    hold_to_table(WIDE, WIDE_TABLE);
}

#[test]
fn two_listeners_get_along_as_in_the_table_of_six_addresses() {
    hold_to_table(NARROW, NARROW_TABLE);
}

#[test]
fn every_mixture_of_options_and_addresses_ends_alike_on_both_kernels() {
    let mut twin = Twin::new();
    let [port] = twin.free_ports();
    let mut refused = 0;
    let options = [(false, false), (true, false), (false, true), (true, true)];
    let places = WIDE.into_iter().filter(|place| is_real(*place));
    for (first, second) in places.clone().flat_map(|first| places.clone().map(move |second| (first, second)))
    {
        for (one, two) in options.into_iter().flat_map(|one| options.map(|two| (one, two))) {
            for listens_first in [true, false] {
                let case = Case { first, second, options: [one, two], listens_first };
                refused += usize::from(contest(&mut twin, port, case).is_err());
            }
        }
    }
    assert!(refused > 500, "{refused} were refused");
}

#[test]
fn of_two_that_are_bound_whoever_listens_first_wins_and_the_other_may_try_again() {
    let mut twin = Twin::new();
    let [port] = twin.free_ports();
    let place = ("127.0.0.1", false);
    let one = twin.open(First, |_| binding(place, port, true, false)).unwrap();
    let two = twin.open(Second, |_| binding(place, port, true, false)).unwrap();
    let listen =
        |twin: &mut Twin, who, handle| twin.ask(who, |it| Call::Listen { fd: it.fd(handle), backlog: 1 });
    listen(&mut twin, Second, two).unwrap();
    listen(&mut twin, Second, two).unwrap();
    assert_eq!(listen(&mut twin, First, one), Err(Errno::AddressInUse));
    assert_eq!(twin.open(First, |_| binding(place, port, true, false)), Err(Errno::AddressInUse));
    twin.close(Second, two);
    listen(&mut twin, First, one).unwrap();
}

#[test]
fn a_port_is_shared_with_one_user_and_not_with_another() {
    let mut kernel = sim::Kernel::new();
    let [a, b, c] =
        [Uid(1000), Uid(1000), Uid(1001)].map(|uid| kernel.spawn(&process("sharer", uid)).unwrap());
    let mut bind = |who, reuse_address| {
        let call = binding(("127.0.0.1", false), 18789, reuse_address, true);
        kernel.perform(who, &call, sim::kernel::Completion::Normal).map(|_| ())
    };
    assert_eq!([bind(a, false), bind(b, false)], [Ok(()), Ok(())]);
    assert_eq!(bind(c, false), Err(Errno::AddressInUse));
    assert_eq!(bind(c, true), Err(Errno::AddressInUse));
}

#[test]
fn an_address_that_cannot_be_bound_is_refused_alike() {
    let mut twin = Twin::new();
    let [port] = twin.free_ports();
    let refused = [
        (("203.0.113.7", false), Errno::AddressNotAvailable),
        (("[2001:db8::7]", false), Errno::AddressNotAvailable),
        (("[::ffff:203.0.113.7]", false), Errno::AddressNotAvailable),
        (("[::ffff:127.0.0.1]", true), Errno::InvalidArgument),
        (("[ff02::1]", false), Errno::InvalidArgument),
    ];
    for (place, errno) in refused {
        assert_eq!(twin.open(First, |_| binding(place, port, true, false)), Err(errno), "{place:?}");
    }
    for place in [("127.255.255.255", false), ("127.0.0.0", false), ("[::ffff:0.0.0.0]", false)] {
        twin.open(First, |_| binding(place, port, true, false)).unwrap();
    }
}

#[test]
fn port_0_is_a_port_of_the_range_that_nobody_has() {
    let mut twin = Twin::new();
    for place in [("127.0.0.1", false), ("0.0.0.0", false), ("[::1]", false)] {
        let one = twin.open(First, |_| binding(place, 0, true, false)).unwrap();
        let other = twin.open(Second, |_| binding(place, 0, true, false)).unwrap();
        for (who, handle) in [(First, one), (Second, other)] {
            twin.ask(who, |it| Call::LocalAddress { fd: it.fd(handle) }).unwrap();
            twin.ask(who, |it| Call::Listen { fd: it.fd(handle), backlog: 1 }).unwrap();
        }
    }
}
