//! Asks one helper process one thing, and ends it with all that it started when nobody wants to know any more.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::Options;
use super::clock::timespec;
use super::internal::Helper;
use super::wire::{Answer, Request, Room};

/// How often an interruption is looked for, in microseconds.
const GLANCE_US: u64 = 50_000;
/// How long a helper may take to clear up, in microseconds.
const CLEARING_US: u64 = 20_000_000;
/// At most so many bytes of an answer or of a complaint are read.
const LONGEST: u64 = 4 * 1024 * 1024;

/// Asks a helper. It and everything that it has started are gone when this returns.
///
/// # Errors
///
/// Why there is no answer.
pub(super) fn ask(options: &Options, room: Room, request: &Request) -> Result<Answer, String> {
    let answer = start_and_ask(options, room, request);
    // What ends a helper early is often what interrupts portcullis.
    if options.interrupted.load(Ordering::Relaxed) { Err("interrupted".to_owned()) } else { answer }
}

fn start_and_ask(options: &Options, room: Room, request: &Request) -> Result<Answer, String> {
    let trouble = |error: std::io::Error| format!("the helper {}: {error}", options.helper.display());
    let mut line = serde_json::to_vec(request).map_err(|error| trouble(error.into()))?;
    line.push(b'\n');
    let mut complaints = tempfile::tempfile().map_err(trouble)?;
    let mut helper = start(options, room, &complaints).map_err(trouble)?;
    let answer = converse(options, &mut helper, &line);
    let status = helper.wait().map_err(trouble)?;
    serde_json::from_slice(&answer.map_err(trouble)?)
        .map_err(|_| format!("the helper gave no answer ({status}){}", read_all(&mut complaints)))
}

fn start(options: &Options, room: Room, complaints: &File) -> std::io::Result<Child> {
    let helper = match room {
        Room::Own => Helper::Isolate,
        Room::Shared { .. } => Helper::CaseShared,
    };
    helper
        .command(options.helper.as_os_str())
        // What a terminal sends to its foreground group is meant for portcullis, which ends the helper in its own way.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(complaints.try_clone()?)
        .spawn()
}

/// Sends the request and reads the answer. An end of the helper's input tells it to stop.
fn converse(options: &Options, helper: &mut Child, line: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut input = helper.stdin.take();
    let Some(output) = helper.stdout.take() else { return Ok(Vec::new()) };
    if let Some(input) = &mut input {
        // A helper that is gone already is noticed by the lack of an answer.
        let _ = input.write_all(line);
    }
    let mut answer = Vec::new();
    let mut left_us = CLEARING_US;
    loop {
        let mut fds = [PollFd::new(&output, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(GLANCE_US))) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) if read_some(&output, &mut answer)? == 0 => return Ok(answer),
            Ok(_) => continue,
            Err(errno) => return Err(errno.into()),
        }
        if options.interrupted.load(Ordering::Relaxed) {
            drop(input.take());
            left_us = left_us.saturating_sub(GLANCE_US);
            if left_us == 0 {
                helper.kill()?;
            }
        }
    }
}

fn read_some(output: impl std::os::fd::AsFd, answer: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut bytes = [0; 8192];
    let count = rustix::io::retry_on_intr(|| rustix::io::read(&output, &mut bytes))?;
    let room = (LONGEST as usize).saturating_sub(answer.len());
    answer.extend_from_slice(&bytes[..count.min(room)]);
    Ok(count)
}

/// What a helper wrote to its standard error, as the end of a sentence.
fn read_all(complaints: &mut File) -> String {
    let mut text = String::new();
    let read = complaints.rewind().and_then(|()| complaints.take(LONGEST).read_to_string(&mut text));
    match read {
        Ok(_) if !text.trim().is_empty() => format!(": {}", text.trim()),
        Ok(_) | Err(_) => String::new(),
    }
}
