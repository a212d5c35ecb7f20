//! The help is the reference: every command, every setting, every exit status.

use std::process::Command;

/// Everything that a user sees of a command that ends by itself.
pub(crate) fn shown(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_refgate")).args(arguments).env_clear().output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    let lines = String::from_utf8_lossy(&text)
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect::<String>();
    format!("{lines}exit {}", output.status.code().expect("it was not killed"))
}

#[test]
#[expect(clippy::too_many_lines, reason = "the outputs are long")]
fn help_names_every_command_every_setting_and_every_exit_status() {
    insta::assert_snapshot!(shown(&["--help"]), @"
    The reference gateway: one live process owns a state directory, a configuration and a block of
    ports, and everybody else is told the truth about why it was refused

    Usage: refgate [OPTIONS] <COMMAND>

    Commands:
      gateway   Own the state directory, the configuration and the ports, and serve until SIGTERM or
                SIGINT
      health    Ask the gateway whether it is healthy
      status    Show what runs here, what it answers and what its channels do, on one screen
      channels  Ask what the channels do
      logs      Show what the gateway has logged
      watch     Look again and again, and say what has gone wrong. Changes nothing and restarts nothing
      why       Say why a gateway would not start here, and who is in the way. Takes nothing and changes
                nothing
      doctor    Say what to do about whoever is in the way, and put right what may be put right without
                harm
      history   Show who has owned the state directory, and how that ended
      setup     Write the configuration of a profile: ports that nobody has, a secret, a workspace
                [alias: onboard]
      ports     Show who has reserved which ports on this host, and what is in the way of this profile
      config    Ask about the settings: whether they are understood, and where each comes from
      help      Print this message or the help of the given subcommand(s)

    Options:
          --profile <NAME>  The profile: a state directory, a configuration and ports of its own.
                            `default` is none. May stand before or after the command
      -h, --help            Print help
      -V, --version         Print version
    exit 0
    ");
    insta::assert_snapshot!(shown(&["gateway", "--help"]), @"
    Own the state directory, the configuration and the ports, and serve until SIGTERM or SIGINT

    Usage: refgate gateway [OPTIONS]
           refgate gateway <COMMAND>

    Commands:
      install    Write a systemd user unit for this gateway. Starts nothing
      uninstall  Remove the systemd user unit that `install` wrote. Stops nothing
      status     Say whether a gateway of these settings runs, by what the kernel shows and by what it
                 answers
      probe      Reach gateways and try what can be read of them
      call       Call a method of the gateway
      health     Ask the gateway whether it is healthy
      start      Say how the gateway is started here, unless it runs. Starts nothing
      stop       Stop the gateway that owns this state directory, and wait until it is gone
      restart    Have the gateway begin anew in place, and wait until it is ready again
      help       Print this message or the help of the given subcommand(s)

    Options:
          --port <N>              The base port, 1 to 65425; the 110 ports above it are reserved as well
          --profile <NAME>        The profile: a state directory and a port of its own. `default` is
                                  none
          --allow-file-lock       Rely on the lock file alone where directories cannot be locked.
                                  Whoever deletes that file then lets a second gateway in
          --allow-remote-fs       Trust the locks of a network file system. Where they do not reach
                                  every machine that mounts it, two gateways own one directory
          --json                  Say it as JSON on stdout, one object a line, and not as text
          --force                 End an owner of the state directory that is stopped, or that is the
                                  expected instance, and start. Never ends anything else: no program on
                                  a port, no process of another user, no orphan
          --expect-instance <ID>  The instance that --force may end although it runs, as `refgate why`
                                  names it. Without it --force asks for a terminal
          --on-conflict <HOW>     What to do while another gateway owns the state directory or has
                                  reserved a port: refuse to start, or park: wait until it has ended,
                                  and start then. For supervisors that ignore exit statuses [default:
                                  refuse]
          --takeover              Have the gateway that serves the same state, configuration and ports
                                  hand everything over, and go on in its place: no connection is
                                  refused, and nobody else gets in between. Starts as usual where none
                                  runs
      -h, --help                  Print help

    Environment (an empty variable counts as not set):
      OPENCLAW_PROFILE        the profile, unless --profile is given
      OPENCLAW_STATE_DIR      the state directory [default: ~/.refgate, or ~/.refgate-NAME]
      OPENCLAW_CONFIG_PATH    the configuration, JSON5 [default: openclaw.json in the state directory]
      OPENCLAW_GATEWAY_PORT   the base port, as N, HOST:N or [IPV6]:N
      OPENCLAW_WORKSPACE_DIR  a directory that agents work in, besides those of the configuration
      OPENCLAW_GATEWAY_TOKEN, OPENCLAW_GATEWAY_PASSWORD
                              what clients must know [default: gateway.auth.token or .password]
      NOTIFY_SOCKET           where a service manager hears that it is ready, and that it stops

    The base port is that of --port, else of OPENCLAW_GATEWAY_PORT, else `gateway.port` of the
    configuration, else one that follows from the name of the profile, else 18789.
    The configuration also says where to listen (`gateway.bind`: loopback, lan or custom), which
    ports browsers have (`browser.cdpUrl` and that or `cdpPort` of each profile) and where agents
    work (`agents.defaults.workspace`, and `workspace` of each agent): all of it is owned as well.
    Its bots (`channels.telegram`) are polled as long as all that is owned, and by nobody else.
    Without a token or a password every program of this machine may connect; listening elsewhere than
    on loopback is refused then.

    What happens to it and its clients is written into logs/gateway.jsonl in the state directory.

    SIGTERM and SIGINT end it once its clients are gone. SIGUSR1 restarts it in place: the epoch is
    raised, the clients are told to come again, and no token and no listener is given up meanwhile. If
    the next epoch cannot be begun, on a full disk for instance, it says so and serves on as before.
    With --takeover another process does the same: the one that runs says goodbye to its clients,
    hands over every token and listener, and exits with 0. If it cannot, it goes on serving, and the
    start is refused; why is in the evidence. SIGUSR2 asks whether it still owns all of that: it writes
    a line into its journal if so, and ends with 70 if not.

    Exit status:
       0  stopped as it was told to
       2  the command line, the environment or the configuration was not understood
      70  an error of the system, or it lost what it owned: see the evidence
      74  read-only or full file system, or no more descriptors
      75  refused for now: trying again later may succeed
      77  permission denied, or a state directory that others may write to
      78  refused until somebody changes something: supervisors should not restart it
    exit 0
    ");
    insta::assert_snapshot!(shown(&["why", "--help"]), @"
    Say why a gateway would not start here, and who is in the way. Takes nothing and changes nothing

    Usage: refgate why [OPTIONS]

    Options:
          --port <N>         The base port, 1 to 65425; the 110 ports above it are reserved as well
          --profile <NAME>   The profile: a state directory and a port of its own. `default` is none
          --allow-file-lock  Rely on the lock file alone where directories cannot be locked. Whoever
                             deletes that file then lets a second gateway in
          --allow-remote-fs  Trust the locks of a network file system. Where they do not reach every
                             machine that mounts it, two gateways own one directory
          --json             Say it as JSON on stdout, one object a line, and not as text
      -h, --help             Print help

    The verdict is the code that a start would be refused with, or `free`; each is proved, likely or
    unknown. What cannot be seen without taking a lock is listed as not seen.

    Exit status:
       0  nothing stands in the way of a start
       2  the command line, the environment or the configuration was not understood
      70, 74, 75, 77, 78
          a start would be refused, and would exit like this: see `refgate gateway --help`
    exit 0
    ");
    insta::assert_snapshot!(shown(&["doctor", "--help"]), @"
    Say what to do about whoever is in the way, and put right what may be put right without harm

    Usage: refgate doctor [OPTIONS]

    Options:
          --port <N>         The base port, 1 to 65425; the 110 ports above it are reserved as well
          --profile <NAME>   The profile: a state directory and a port of its own. `default` is none
          --allow-file-lock  Rely on the lock file alone where directories cannot be locked. Whoever
                             deletes that file then lets a second gateway in
          --allow-remote-fs  Trust the locks of a network file system. Where they do not reach every
                             machine that mounts it, two gateways own one directory
          --json             Say it as JSON on stdout, one object a line, and not as text
          --fix              Put right what may be: the permissions of the state directory, and
                             leftovers of interrupted writes in one that nobody owns
      -h, --help             Print help

    No process is ended, and no lock file is removed.

    Exit status:
       0  the gateway runs, or could start, and nothing is left to be put right
       1  the same, but something could be put right and is not
       2  the command line, the environment or the configuration was not understood
      70, 74, 75, 77, 78
          a start would be refused, and would exit like this: see `refgate gateway --help`
    exit 0
    ");
    assert_eq!(shown(&["gateway", "-h"]), shown(&["help", "gateway"]));
    assert!(shown(&["--version"]).starts_with("refgate "));
}
