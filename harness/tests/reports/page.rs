//! The page in a real browser: no error, the slider moves, the machine follows it. Where there is no browser, the test says
//! so and judges the markup alone.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;

use super::{BROKEN, Room};

const BROWSERS: [&str; 2] = ["/usr/bin/chromium", "/usr/bin/chromium-browser"];

/// Presses keys as a user would, and leaves in the page what it has seen.
const USER: &str = r#"<script>
(() => {
  const article = document.querySelector(".failure");
  const seen = () => `${article.querySelector(".at").textContent} | ${article.querySelector(".machine.here h4").textContent}`;
  const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const said = [seen()];
  press("Home"); said.push(seen());
  press("ArrowRight"); said.push(seen());
  const slider = article.querySelector(".slider");
  slider.value = 7; slider.dispatchEvent(new Event("input")); said.push(seen());
  article.querySelector("[data-move='1']").click(); said.push(seen());
  const filter = document.getElementById("filter");
  filter.value = "alone 18989"; filter.dispatchEvent(new Event("input"));
  said.push(document.getElementById("shown").textContent);
  said.push(`${article.querySelectorAll(".machine").length > 5} ${document.querySelectorAll(".machine.here").length}`);
  CONTROL
  const list = document.createElement("pre");
  list.id = "seen";
  list.textContent = said.join("\n");
  document.body.append(list);
})();
</script></body>"#;

fn page() -> (Room, String) {
    let room = Room::new();
    let output = room.portcullis(&["run", "-q", "--design", BROKEN, "--html", "report.html"]);
    assert_eq!(output.status.code(), Some(1));
    let page = room.read("report.html");
    (room, page)
}

/// The page after it was used, and what its console has said.
fn used(browser: &str, room: &Room, page: &str, control: &str) -> (String, Vec<String>) {
    room.write("used.html", &page.replacen("</body>", &USER.replace("CONTROL", control), 1));
    // A browser that hangs is a failure, and not a test without an end.
    let output = Command::new(browser)
        .timeout(Duration::from_secs(120))
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", room.path("browser").display()))
        .arg(format!("file://{}", room.path("used.html").display()))
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    (String::from_utf8_lossy(&output.stdout).into_owned(), console)
}

#[test]
fn without_scripts_the_page_has_every_step_and_every_machine() {
    let (_room, page) = page();
    let steps = page.matches("data-step=").count();
    let machines = page.matches("data-from=").count();
    assert!(steps > 30 && machines > 10, "{steps} steps, {machines} machines");
    for words in [
        "a and b both own the state directory",
        "/srv/S/gateway.pid",
        "Stale read: step",
        "portcullis replay v1.",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(page.contains("<title>portcullis: failed</title>"));
    // Nothing that only a script can use is shown without one.
    let is_hidden = |tag: &str| !tag.contains("scripted") || tag.contains(" hidden");
    assert!(page.split('<').filter_map(|tag| tag.split('>').next()).all(is_hidden));
}

#[test]
fn in_a_browser_the_slider_moves_and_the_machine_follows() {
    let Some(browser) = BROWSERS.into_iter().find(|browser| Path::new(browser).exists()) else {
        let _ = writeln!(std::io::stderr(), "no browser at {}: not tried in one", BROWSERS.join(" or "));
        return;
    };
    let (room, page) = page();
    let (dom, console) = used(browser, &room, &page, "");
    assert_eq!(console, Vec::<String>::new());
    let (_, seen) =
        dom.split_once("<pre id=\"seen\">").unwrap_or_else(|| panic!("the script has not run: {dom}"));
    let (seen, _) = seen.split_once("</pre>").unwrap();
    insta::assert_snapshot!(seen, @"
    step 29, 39 of 39 | Since step 29: owner
    setup, 1 of 39 | In the setup, since: (started)
    setup, 4 of 39 | In the setup, since: create excl gateway.pid
    setup, 8 of 39 | In the setup, since: owner
    setup, 9 of 39 | In the setup, since: ready
    1 of 5
    true 2
    ");
    // The console is heard at all, and what the page may not load is refused.
    let control = "document.body.append(Object.assign(new Image(), { src: 'https://example.org/x.png' }));";
    let (_, console) = used(browser, &room, &page, control);
    assert!(console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
}
