//! What of a machine survives a loss of power beside its files, and what nothing but a loss of power takes.

use std::path::Path;

use portcullis_os::{BindOptions, Call, Port, Reply, Signal};
use sim::kernel::{Ending, Life, Mount, Persistence, Place, ProcessId, Spawn};

use crate::disk::{
    HOST, LOCK, MODELS, TMP, create, disk, found, make, make_synced, mkdir, outcomes, rename, rewrite, run,
    sync_directory, text, unlink, write,
};
use crate::kernel_machine::{USER, ask, fd, flock, start};

#[test]
fn a_tmpfs_is_empty_after_a_loss_of_power_and_the_disk_below_it_is_not() {
    let (mut kernel, who) = disk(Persistence::Ordered, Some("77"));
    kernel.make_directory(Path::new("/run"), 0o700, USER);
    kernel.mount(Path::new("/run"), Mount { magic: 0x0102_1994, ..Mount::local() });
    kernel.set_persistence(Path::new("/run"), HOST, Persistence::Tmpfs);
    run(&mut kernel, who, &[mkdir("/run/d")]);
    run(&mut kernel, who, &make_synced("/run/d/pid", "100"));
    run(&mut kernel, who, &sync_directory("/"));
    let [outcome] = &outcomes(&kernel)[..] else { panic!("there is one outcome") };
    assert_eq!(outcome.lookup(Path::new("/run")), kernel.lookup(Path::new("/run")));
    assert_eq!(outcome.lookup(Path::new("/run/d")), None);
    assert_eq!(text(outcome, LOCK), r#""77""#);
}

#[test]
fn sigkill_loses_nothing() {
    for persistence in MODELS.into_iter().chain([Persistence::Tmpfs, Persistence::Kept]) {
        let (mut kernel, who) = disk(persistence, Some("77"));
        run(&mut kernel, who, &[create(TMP), write(0, "42"), rename(TMP, LOCK)]);
        kernel.signal(ProcessId::ENVIRONMENT, who, Signal::Kill);
        assert_eq!((text(&kernel, LOCK), text(&kernel, TMP)), (r#""42""#.to_owned(), "absent".to_owned()));
    }
}

#[test]
fn a_disk_that_is_kept_loses_nothing_but_processes() {
    let (mut kernel, who) = disk(Persistence::Kept, Some("77"));
    run(&mut kernel, who, &make(TMP, "42"));
    run(&mut kernel, who, &[rewrite(LOCK), unlink(LOCK)]);
    let [outcome] = &outcomes(&kernel)[..] else { panic!("there is one outcome") };
    assert_eq!((text(outcome, TMP), text(outcome, LOCK)), (r#""42""#.to_owned(), "absent".to_owned()));
    assert_eq!(outcome.life(who), Life::Dead(Ending::Killed(Signal::Kill)));
}

#[test]
fn nothing_that_lives_in_memory_survives() {
    let (mut kernel, who) = disk(Persistence::Ext4, Some("77"));
    let child = Spawn {
        name: "child".to_owned(),
        command: "child".to_owned(),
        uid: USER,
        parent: Some(who),
        pid: None,
        place: Place::default(),
    };
    let child = kernel.spawn(&child).unwrap();
    kernel.exit(child, 3);
    let file = fd(ask(&mut kernel, who, rewrite(LOCK)));
    run(&mut kernel, who, &[flock(file)]);
    run(&mut kernel, who, &[Call::ListenUnix { name: "name".into(), backlog: 1 }]);
    let address = ([127, 0, 0, 1], 18789).into();
    let socket = fd(ask(&mut kernel, who, Call::BindTcp { address, options: BindOptions::SERVER }));
    run(&mut kernel, who, &[Call::Listen { fd: socket, backlog: 1 }]);
    let lock = kernel.lookup(Path::new(LOCK)).unwrap();
    let pid = kernel.pid(who);

    let [outcome] = &mut outcomes(&kernel)[..] else { panic!("there is one outcome") };
    assert_eq!(outcome.lookup(Path::new(LOCK)), Some(lock), "the file is the same file");
    assert_eq!(outcome.lock_holders(lock), []);
    assert_eq!(outcome.unix_names(who).count(), 0);
    assert_eq!(outcome.listeners(Port::new(18789).unwrap()), []);
    assert_eq!(outcome.life(child), Life::Dead(Ending::Exited(3)), "who was dead was so before");
    assert_eq!(outcome.process_of(pid), None);
    let heir = start(outcome, "heir");
    assert_eq!(outcome.pid(heir), pid, "pids start over");
    ask(outcome, heir, Call::Processes).map(|pids| assert_eq!(pids, Reply::Pids(vec![pid]))).unwrap();
}

#[test]
fn a_loss_of_power_elsewhere_takes_nothing() {
    let (mut kernel, who) = disk(Persistence::Posix, Some("77"));
    run(&mut kernel, who, &[create(TMP), write(0, "42")]);
    let elsewhere = kernel.add_host(0);
    let [outcome] = &kernel.power_loss_outcomes(elsewhere).unwrap()[..] else { panic!("nothing is lost") };
    assert_eq!(outcome.life(who), Life::Running);
    assert_eq!((text(outcome, TMP), text(outcome, LOCK)), (r#""42""#.to_owned(), r#""77""#.to_owned()));
    let names = [TMP, LOCK];
    assert_eq!(found(outcome, &names), found(&kernel, &names), "what can be lost can still be lost");
}
