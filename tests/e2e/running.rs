//! The program while it runs: read line by line, and sent signals.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

use crate::support::{Harness, in_time};

/// A program that runs, with what it writes on standard error.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// Read all the while: nobody writes to a full pipe. Dropped, nobody reads any more.
    pub(crate) lines: UnboundedReceiver<String>,
}

impl Running {
    pub(crate) fn start(harness: &Harness, arguments: &[&str]) -> Self {
        let program = harness.program();
        // Whoever runs the tests may ignore SIGHUP, as `nohup` does: GNU's `env` undoes that.
        let mut heeding = Command::new("env");
        heeding
            .arg("--default-signal=HUP")
            .arg(program.get_program());
        for (name, value) in program.get_envs() {
            heeding.env(name, value.unwrap_or_default());
        }
        let mut program = heeding;
        program
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = program.spawn().unwrap();
        let mut read = BufReader::new(child.stderr.take().unwrap()).lines();
        let (to, lines) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = read.next_line().await
                && to.send(line).is_ok()
            {}
        });
        Running { child, lines }
    }

    /// Waits for a line with this text.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let mut before = Vec::new();
        loop {
            match in_time(self.lines.recv()).await {
                Some(line) if line.contains(text) => return line,
                Some(line) => before.push(line),
                None => panic!("{text:?} is not in {before:#?}"),
            }
        }
    }

    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([name, &id]).status().await;
        assert!(sent.unwrap().success());
    }

    /// The exit code, what was written on standard output, and the rest of standard error.
    pub(crate) async fn end(mut self) -> (Option<i32>, String, Vec<String>) {
        let mut lines = Vec::new();
        while let Some(line) = in_time(self.lines.recv()).await {
            lines.push(line);
        }
        let mut out = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut out).await.unwrap();
        (self.child.wait().await.unwrap().code(), out, lines)
    }
}
