//! One side of a comparison: a process that is told what to prepare and when to run, line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// Where the peers' worker lies.
const WORKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/worker.py");

/// How a peer is started.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// A Python that has torch.
    pub python: &'a Path,
    /// Its threads.
    pub threads: usize,
}

/// A running worker. Its process ends with it.
pub struct Side {
    /// What tables call it.
    pub label: String,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    idle: u64,
}

/// What a worker's process took of the machine's memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// The most that was resident since the work was prepared: libraries and interpreter, net, data and work.
    pub peak: u64,
    /// The part of it that came on top of what was resident before the first run.
    pub growth: u64,
}

impl Side {
    /// Our side: this program again.
    pub fn ours(label: &str, threads: usize) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--worker").env("RAYON_NUM_THREADS", threads.to_string());
        Self::start(label, command)
    }

    /// The peer's side.
    pub fn peer(label: &str, peer: Peer<'_>) -> Result<Self> {
        let mut command = Command::new(peer.python);
        command.arg(WORKER).env("THREADS", peer.threads.to_string());
        Self::start(label, command)
    }

    fn start(label: &str, mut command: Command) -> Result<Self> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.with_context(|| format!("{label} does not start"))?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let (orders, answers) = orders.zip(answers).context("a worker without pipes")?;
        let mut side = Self { label: label.to_owned(), child, orders, answers: BufReader::new(answers), idle: 0 };
        side.answer()?; // its greeting
        Ok(side)
    }

    /// Sets a work up. `None` if this side cannot do it; why not has been printed then.
    pub fn prepared(mut self, work: &str, settings: &impl Serialize) -> Result<Option<Self>> {
        let settings = serde_json::to_string(settings)?;
        let answer = self.ask(&format!("prepare {work} {settings}"))?;
        if let Some(reason) = answer.strip_prefix("cannot ") {
            println!("{}: not measured, {reason}\n", self.label);
            return Ok(None);
        }
        if answer != "ready" {
            bail!("{} answered \"{answer}\" to prepare", self.label);
        }
        // From here on the kernel's high-water mark is that of the work. Without the right to reset it, it includes the
        // preparation.
        let _ = std::fs::write(self.process("clear_refs"), "5");
        self.idle = self.status("VmRSS")?;
        Ok(Some(self))
    }

    /// Does the work once: milliseconds, as the worker's own clock tells them.
    pub fn run(&mut self) -> Result<f64> {
        let answer = self.ask("run")?;
        answer.parse().with_context(|| format!("{} answered \"{answer}\" to run", self.label))
    }

    /// What the process has taken so far.
    pub fn memory(&self) -> Result<Memory> {
        let peak = self.status("VmHWM")?;
        Ok(Memory { peak, growth: peak.saturating_sub(self.idle) })
    }

    fn ask(&mut self, order: &str) -> Result<String> {
        writeln!(self.orders, "{order}").and_then(|()| self.orders.flush()).context(self.gone())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!(self.gone());
        }
        Ok(line.trim_end().to_owned())
    }

    fn gone(&self) -> String {
        format!("{} has ended; its last words are above", self.label)
    }

    fn process(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.child.id()))
    }

    /// A line of `/proc/PID/status`, in bytes.
    fn status(&self, key: &str) -> Result<u64> {
        let status = std::fs::read_to_string(self.process("status")).context("memory is read from Linux's /proc")?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let kib: u64 = line.and_then(|line| line.split_whitespace().next()).context("no such line")?.parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // It holds nothing worth saving, and may be busy.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
