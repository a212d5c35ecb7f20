//! The help of the ladder is its reference, as that of all commands is.

use crate::help::shown;

#[test]
#[expect(clippy::too_many_lines, reason = "the outputs are long")]
fn help_of_the_ladder_names_every_option_and_every_exit_status() {
    insta::assert_snapshot!(shown(&["gateway", "status", "--help"]), @"
    Say whether a gateway of these settings runs, by what the kernel shows and by what it answers

    Usage: refgate gateway status [OPTIONS]

    Options:
          --deep               Also ask by HTTP, look at every unit that the service manager reads, and
                               let the doctor look
          --require-rpc        Fail unless the gateway lets this client in and carries out a call
          --port <N>           The base port, 1 to 65425
          --profile <NAME>     The profile: a state directory and a port of its own. `default` is none
          --json               Say it as JSON on stdout, one object a line, and not as text
          --url <URL>          Ask whoever answers there, as ws://HOST:PORT, and not the gateway of
                               these settings. Another host needs --token-file: what is secret here is
                               not sent there
          --token-file <FILE>  A file whose first line is the token or the password
          --timeout-ms <N>     The longest that is waited for any one answer, in milliseconds
      -h, --help               Print help

    A gateway runs if the kernel shows a process that owns the state directory and is not stopped. It
    answers if it lets this client in and carries out `status`.

    Exit status:
       0  a gateway of these settings runs, and with --require-rpc it answers too
       1  it does not: the first line says what there is instead, the last what to do next
       2  the command line, the environment or the configuration was not understood
    exit 0
    ");
    insta::assert_snapshot!(shown(&["gateway", "probe", "--help"]), @"
    Reach gateways and try what can be read of them

    Usage: refgate gateway probe [OPTIONS]

    Options:
          --port <N>           The base port, 1 to 65425
          --profile <NAME>     The profile: a state directory and a port of its own. `default` is none
          --json               Say it as JSON on stdout, one object a line, and not as text
          --url <URL>          Probe whoever answers there, as ws://HOST:PORT, and not the gateway of
                               these settings; may be given again. Another host needs --token-file
          --token-file <FILE>  A file whose first line is the token or the password
          --timeout-ms <N>     The longest that is waited for any one answer, in milliseconds
      -h, --help               Print help

    Each target is reachable (it lets this client in, and all reads work), degraded (it lets this client
    in, and a read does not work) or down. Without --url the target is the gateway of these settings.

    Exit status:
       0  every target is reachable
       1  one is not: a wrong secret is no success
       2  the command line, the environment or the configuration was not understood
    exit 0
    ");
    insta::assert_snapshot!(shown(&["gateway", "call", "--help"]), @"
    Call a method of the gateway

    Usage: refgate gateway call [OPTIONS] <METHOD>

    Arguments:
      <METHOD>  The method, for instance `health` or `config.get`

    Options:
          --params <JSON>      Its params, as JSON
          --port <N>           The base port, 1 to 65425
          --profile <NAME>     The profile: a state directory and a port of its own. `default` is none
          --json               Say it as JSON on stdout, one object a line, and not as text
          --url <URL>          Ask whoever answers there, as ws://HOST:PORT, and not the gateway of
                               these settings. Another host needs --token-file: what is secret here is
                               not sent there
          --token-file <FILE>  A file whose first line is the token or the password
          --timeout-ms <N>     The longest that is waited for any one answer, in milliseconds
      -h, --help               Print help

    A secret is taken from --token-file, else from OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD,
    else from the configuration. It is sent only to the process that the kernel shows to be the owner
    of the state directory, or to an address of this machine that was named.

    Exit status:
       0  it was done, or what was asked for is so
       1  it was not, or is not: the first line says why, the last what to do next
       2  the command line, the environment or the configuration was not understood
    exit 0
    ");
    insta::assert_snapshot!(shown(&["gateway", "start", "--help"]), @"
    Say how the gateway is started here, unless it runs. Starts nothing

    Usage: refgate gateway start [OPTIONS]

    Options:
          --port <N>        The base port, 1 to 65425
          --profile <NAME>  The profile: a state directory and a port of its own. `default` is none
          --json            Say it as JSON on stdout, one object a line, and not as text
      -h, --help            Print help

    A secret is taken from --token-file, else from OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD,
    else from the configuration. It is sent only to the process that the kernel shows to be the owner
    of the state directory, or to an address of this machine that was named.

    Exit status:
       0  it was done, or what was asked for is so
       1  it was not, or is not: the first line says why, the last what to do next
       2  the command line, the environment or the configuration was not understood
    exit 0
    ");
    insta::assert_snapshot!(shown(&["gateway", "stop", "--help"]), @"
    Stop the gateway that owns this state directory, and wait until it is gone

    Usage: refgate gateway stop [OPTIONS]

    Options:
          --port <N>        The base port, 1 to 65425
          --profile <NAME>  The profile: a state directory and a port of its own. `default` is none
          --json            Say it as JSON on stdout, one object a line, and not as text
          --wait-s <N>      How long to wait until it is so, in seconds [default: 20]
      -h, --help            Print help

    A secret is taken from --token-file, else from OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD,
    else from the configuration. It is sent only to the process that the kernel shows to be the owner
    of the state directory, or to an address of this machine that was named.

    Exit status:
       0  it was done, or what was asked for is so
       1  it was not, or is not: the first line says why, the last what to do next
       2  the command line, the environment or the configuration was not understood
    exit 0
    ");
    insta::assert_snapshot!(shown(&["gateway", "restart", "--help"]), @"
    Have the gateway begin anew in place, and wait until it is ready again

    Usage: refgate gateway restart [OPTIONS]

    Options:
          --port <N>        The base port, 1 to 65425
          --profile <NAME>  The profile: a state directory and a port of its own. `default` is none
          --json            Say it as JSON on stdout, one object a line, and not as text
          --wait-s <N>      How long to wait until it is so, in seconds [default: 20]
      -h, --help            Print help

    A secret is taken from --token-file, else from OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD,
    else from the configuration. It is sent only to the process that the kernel shows to be the owner
    of the state directory, or to an address of this machine that was named.

    Exit status:
       0  it was done, or what was asked for is so
       1  it was not, or is not: the first line says why, the last what to do next
       2  the command line, the environment or the configuration was not understood
    exit 0
    ");
    insta::assert_snapshot!(shown(&["gateway", "uninstall", "--help"]), @"
    Remove the systemd user unit that `install` wrote. Stops nothing

    Usage: refgate gateway uninstall [OPTIONS]

    Options:
          --port <N>        The base port, 1 to 65425
          --profile <NAME>  The profile: a state directory and a port of its own. `default` is none
          --json            Say it as JSON on stdout, one object a line, and not as text
          --dry-run         Show what would be removed, and remove nothing
      -h, --help            Print help

    The links that enable the unit go with it. A gateway that runs is not stopped.

    Exit status:
       0  the unit is gone, or could be removed, or there is none
       2  the command line, the environment or the configuration was not understood
      74  the system refuses
      77  permission denied
      78  the file was not written by this program, or is for another state directory
    exit 0
    ");
    insta::assert_snapshot!(shown(&["health", "--help"]), @"
    Ask the gateway whether it is healthy

    Usage: refgate health [OPTIONS]

    Options:
          --port <N>           The base port, 1 to 65425
          --profile <NAME>     The profile: a state directory and a port of its own. `default` is none
          --json               Say it as JSON on stdout, one object a line, and not as text
          --url <URL>          Ask whoever answers there, as ws://HOST:PORT, and not the gateway of
                               these settings. Another host needs --token-file: what is secret here is
                               not sent there
          --token-file <FILE>  A file whose first line is the token or the password
          --timeout-ms <N>     The longest that is waited for any one answer, in milliseconds
      -h, --help               Print help

    A secret is taken from --token-file, else from OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD,
    else from the configuration. It is sent only to the process that the kernel shows to be the owner
    of the state directory, or to an address of this machine that was named.

    Exit status:
       0  it was done, or what was asked for is so
       1  it was not, or is not: the first line says why, the last what to do next
       2  the command line, the environment or the configuration was not understood
    exit 0
    ");
    insta::assert_snapshot!(shown(&["status", "--help"]), @"
    Show what runs here, what it answers and what its channels do, on one screen

    Usage: refgate status [OPTIONS]

    Options:
          --all                Also show who has owned the state directory, and the unit that runs the
                               gateway
          --deep               Also ask by HTTP, and have the gateway try each account of each channel
          --port <N>           The base port, 1 to 65425
          --profile <NAME>     The profile: a state directory and a port of its own. `default` is none
          --json               Say it as JSON on stdout, one object a line, and not as text
          --url <URL>          Ask whoever answers there, as ws://HOST:PORT, and not the gateway of
                               these settings. Another host needs --token-file: what is secret here is
                               not sent there
          --token-file <FILE>  A file whose first line is the token or the password
          --timeout-ms <N>     The longest that is waited for any one answer, in milliseconds
      -h, --help               Print help

    A secret is taken from --token-file, else from OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD,
    else from the configuration. It is sent only to the process that the kernel shows to be the owner
    of the state directory, or to an address of this machine that was named.

    Exit status:
       0  it was done, or what was asked for is so
       1  it was not, or is not: the first line says why, the last what to do next
       2  the command line, the environment or the configuration was not understood
    exit 0
    ");
    insta::assert_snapshot!(shown(&["channels", "status", "--help"]), @"
    Show what each account does. Ends with 1 if one that is enabled does not work

    Usage: refgate channels status [OPTIONS]

    Options:
          --probe              Have the gateway try each account, and do not only show what it knows
          --port <N>           The base port, 1 to 65425
          --profile <NAME>     The profile: a state directory and a port of its own. `default` is none
          --json               Say it as JSON on stdout, one object a line, and not as text
          --url <URL>          Ask whoever answers there, as ws://HOST:PORT, and not the gateway of
                               these settings. Another host needs --token-file: what is secret here is
                               not sent there
          --token-file <FILE>  A file whose first line is the token or the password
          --timeout-ms <N>     The longest that is waited for any one answer, in milliseconds
      -h, --help               Print help

    A secret is taken from --token-file, else from OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD,
    else from the configuration. It is sent only to the process that the kernel shows to be the owner
    of the state directory, or to an address of this machine that was named.

    Exit status:
       0  it was done, or what was asked for is so
       1  it was not, or is not: the first line says why, the last what to do next
       2  the command line, the environment or the configuration was not understood
    exit 0
    ");
    insta::assert_snapshot!(shown(&["logs", "--help"]), @"
    Show what the gateway has logged

    Usage: refgate logs [OPTIONS]

    Options:
          --follow             Go on until this command is interrupted or the gateway ends
          --limit <N>          How many lines at most [default: 200]
          --port <N>           The base port, 1 to 65425
          --profile <NAME>     The profile: a state directory and a port of its own. `default` is none
          --json               Say it as JSON on stdout, one object a line, and not as text
          --url <URL>          Ask whoever answers there, as ws://HOST:PORT, and not the gateway of
                               these settings. Another host needs --token-file: what is secret here is
                               not sent there
          --token-file <FILE>  A file whose first line is the token or the password
          --timeout-ms <N>     The longest that is waited for any one answer, in milliseconds
      -h, --help               Print help

    A secret is taken from --token-file, else from OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD,
    else from the configuration. It is sent only to the process that the kernel shows to be the owner
    of the state directory, or to an address of this machine that was named.

    Exit status:
       0  it was done, or what was asked for is so
       1  it was not, or is not: the first line says why, the last what to do next
       2  the command line, the environment or the configuration was not understood
    exit 0
    ");
    insta::assert_snapshot!(shown(&["watch", "--help"]), @"
    Look again and again, and say what has gone wrong. Changes nothing and restarts nothing

    Usage: refgate watch [OPTIONS]

    Options:
          --port <N>           The base port, 1 to 65425
          --profile <NAME>     The profile: a state directory and a port of its own. `default` is none
          --json               Say it as JSON on stdout, one object a line, and not as text
          --token-file <FILE>  A file whose first line is the token or the password
          --timeout-ms <N>     The longest that is waited for any one answer, in milliseconds
          --interval-s <N>     How long to wait between two rounds, in seconds [default: 30]
          --once               Look once, and once more at a bad sign
          --evidence <FILE>    Append one JSON object for each round to this file, which may not lie in
                               the state directory
      -h, --help               Print help

    Each round asks the kernel who owns the state directory, has the gateway carry out a call, lets the
    doctor look, and has the gateway try its channels. A line that begins with ALERT says that
    something is wrong: twice in a row, or once if the kernel itself says that there is no gateway.

    Exit status (without --once it ends only by a signal, or when nobody reads it any more):
       0  --once: nothing is wrong
       1  --once: something is, and was said in a line that begins with ALERT; or evidence cannot be
       kept
       2  the command line, the environment or the configuration was not understood
    exit 0
    ");
    assert_eq!(shown(&["gateway", "health", "-h"]).lines().count(), shown(&["health", "-h"]).lines().count());
}
