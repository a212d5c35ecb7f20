//! The ratios as drawings: one row a case, one mark a server, on a scale on which equal factors are equally far.
//!
//! The colours are those of Okabe and Ito, which most people tell apart, and read on white and on black; the gateway's mark is
//! the largest. Nothing but the results and this file goes into a drawing.

use std::fmt::Write as _;

use super::report::{Line, Report, Row};
use super::servers::{Server, Work};

const WIDTH: f64 = 760.0;
/// Where the scale begins and ends.
const LEFT: f64 = 150.0;
const RIGHT: f64 = 740.0;
const TOP: f64 = 74.0;
const ROW: f64 = 30.0;
/// The ratios that have a line of their own.
const TICKS: [f64; 8] = [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0];

/// Every drawing that there is something for, with the name of its file.
pub(crate) fn all(report: &Report) -> Vec<(&'static str, String)> {
    [
        (
            Work::Echo,
            "performance-echo.svg",
            "Echo: processor time of the server for one message, raw TCP = 1",
        ),
        (Work::Rpc, "performance-rpc.svg", "RPC: processor time of the server for one request, raw TCP = 1"),
        (
            Work::Fan,
            "performance-fan-out.svg",
            "Fan-out: processor time of the server for one event to one client, a loop of writes = 1",
        ),
    ]
    .into_iter()
    .filter_map(|(work, name, title)| {
        let is_drawn = |row: &&Row| row.case.work == work && !row.lines.is_empty();
        let rows: Vec<_> = report.rows.iter().filter(is_drawn).collect();
        (!rows.is_empty()).then(|| (name, drawing(title, &rows)))
    })
    .collect()
}

/// The ends of the scale: the ticks around all ratios.
fn scale(rows: &[&Row]) -> (f64, f64) {
    let ratios = || rows.iter().flat_map(|row| &row.lines).map(|line| line.figures.ratio);
    let least = ratios().fold(1.0, f64::min);
    let most = ratios().fold(2.0, f64::max);
    let begin = TICKS.iter().copied().rfind(|tick| *tick <= least).unwrap_or(least);
    let end = TICKS.iter().copied().find(|tick| *tick >= most).unwrap_or(most);
    (begin, end)
}

/// Where a ratio lies between the ends of the scale.
fn across(ratio: f64, (begin, end): (f64, f64)) -> f64 {
    LEFT + (RIGHT - LEFT) * (ratio / begin).ln() / (end / begin).ln()
}

fn drawing(title: &str, rows: &[&Row]) -> String {
    let mut svg = String::new();
    // Writing to a string always succeeds.
    let _ = draw(&mut svg, title, rows);
    svg
}

fn draw(svg: &mut String, title: &str, rows: &[&Row]) -> std::fmt::Result {
    let scale = scale(rows);
    let bottom = TOP + ROW * rows.len() as f64;
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {:.0}" font-family="sans-serif" font-size="12" role="img">
<title>{title}</title>
<style>text{{fill:#333}}line{{stroke:#999;stroke-opacity:.4}}@media(prefers-color-scheme:dark){{text{{fill:#ddd}}}}</style>
<text x="8" y="18" font-size="14">{title}</text>"##,
        bottom + 28.0
    )?;
    legend(svg, rows)?;
    for tick in TICKS.iter().filter(|tick| (scale.0..=scale.1).contains(*tick)) {
        let x = across(*tick, scale);
        writeln!(svg, r#"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}"/>"#)?;
        writeln!(svg, r#"<text x="{x:.1}" y="{:.0}" text-anchor="middle">{tick}</text>"#, bottom + 18.0)?;
    }
    for (number, row) in (0..).map(f64::from).zip(rows) {
        let y = TOP + ROW * (number + 0.5);
        writeln!(svg, r#"<text x="8" y="{:.0}">{}</text>"#, y + 4.0, row.name)?;
        // Whoever is drawn last lies on top.
        let (own, others): (Vec<_>, Vec<_>) =
            row.lines.iter().partition(|line| line.server == Server::Refgate);
        for Line { server, figures } in others.into_iter().chain(own) {
            let (colour, radius) = mark(*server);
            let x = across(figures.ratio, scale);
            writeln!(
                svg,
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{colour}"><title>{} {:.2}</title></circle>"#,
                server.name(),
                figures.ratio
            )?;
        }
    }
    writeln!(svg, "</svg>")
}

fn legend(svg: &mut String, rows: &[&Row]) -> std::fmt::Result {
    let mut x = 14.0;
    let mut servers: Vec<_> = rows.iter().flat_map(|row| &row.lines).map(|line| line.server).collect();
    servers.sort();
    servers.dedup();
    for server in servers {
        let (colour, radius) = mark(server);
        writeln!(svg, r#"<circle cx="{x:.1}" cy="42" r="{radius}" fill="{colour}"/>"#)?;
        writeln!(svg, r#"<text x="{:.1}" y="46">{}</text>"#, x + 10.0, server.name())?;
        x += 28.0 + 6.6 * server.name().len() as f64;
    }
    Ok(())
}

const fn mark(server: Server) -> (&'static str, f64) {
    match server {
        Server::Tcp => ("#888888", 5.0),
        Server::Refgate => ("#d55e00", 7.0),
        Server::Tungstenite => ("#56b4e9", 5.0),
        Server::Fastwebsockets => ("#009e73", 5.0),
        Server::TokioWebsockets => ("#cc79a7", 5.0),
        Server::SockudoWs => ("#0072b2", 5.0),
        Server::Ws => ("#e69f00", 5.0),
        Server::Gorilla => ("#b8a800", 5.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{LEFT, RIGHT, across, drawing, scale};
    use crate::compare::case::TALKS;
    use crate::compare::reckon::Figures;
    use crate::compare::report::{Line, Row};
    use crate::compare::servers::Server;

    fn row() -> Row {
        let line = |server, ratio| {
            let figures = Figures { ratio, least_ns: 1.0, middle_ns: 1.0, rate: 1.0 };
            Line { server, figures }
        };
        let lines = vec![line(Server::Tcp, 1.0), line(Server::Refgate, 1.1), line(Server::Ws, 13.0)];
        Row { name: TALKS[0].name(), case: TALKS[0], lines }
    }

    #[test]
    fn equal_factors_are_equally_far_between_the_ends_of_the_scale() {
        let ends = scale(&[&row()]);
        assert_eq!(ends, (1.0, 20.0));
        assert!((across(1.0, ends) - LEFT).abs() < 1e-9 && (across(20.0, ends) - RIGHT).abs() < 1e-9);
        let step = across(2.0, ends) - across(1.0, ends);
        assert!((across(8.0, ends) - across(4.0, ends) - step).abs() < 1e-9);
    }

    #[test]
    fn a_drawing_names_every_case_and_every_server() {
        let svg = drawing("title", &[&row()]);
        for part in ["<svg ", "</svg>", "echo 64,1,32", ">refgate<", "refgate 1.10", "ws 13.00"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
    }
}
