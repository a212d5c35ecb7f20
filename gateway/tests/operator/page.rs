//! The status page in a browser that nobody of this project has written.

use std::process::Stdio;

use crate::room::Room;

const BROWSERS: [&str; 2] = ["/usr/bin/chromium", "/usr/bin/chromium-browser"];

/// The page as a browser has it, and what its console has said.
fn shown(browser: &str, room: &Room, url: &str) -> (String, Vec<String>) {
    // A browser that hangs is a failure, and not a test without an end.
    let output = room
        .command("/usr/bin/timeout")
        .arg("120")
        .arg(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", room.at("browser").display()))
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    (String::from_utf8_lossy(&output.stdout).into_owned(), console)
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that could not be made says so")]
fn a_browser_shows_who_the_gateway_is_to_whoever_knows_the_password() {
    let Some(browser) = BROWSERS.into_iter().find(|path| std::path::Path::new(path).exists()) else {
        eprintln!("SKIPPED: none of {BROWSERS:?} is installed");
        return;
    };
    let room = Room::new(8, None);
    let running = room.gateway_with(&[], &[("OPENCLAW_GATEWAY_PASSWORD", "s3cret")]);
    let at = format!("127.0.0.1:{}/", room.base);
    let (page, console) = shown(browser, &room, &format!("http://anybody:s3cret@{at}"));
    assert_eq!(console, Vec::<String>::new());
    let pid = format!("<td><code>{}</code></td>", running.pid());
    for words in [
        "refgate is <span class=\"ready\">ready</span>",
        &pid,
        "<td><code>password</code></td>",
        "Nobody.",
        r#""event":"ready""#,
        "None is configured.",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("s3cret"), "{page}");
    let (page, _) = shown(browser, &room, &format!("http://{at}identity"));
    assert!(page.contains("\"service\":\"refgate\"") && !page.contains("\"pid\""), "{page}");
}
