//! The program stops when told to, and not in the middle of a request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{png, save_checkpoint};

/// A program under test; killed when a test fails.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server as a process of its own, and its address. Nobody reads its log after that.
fn serve(folder: &std::path::Path) -> (Program, String) {
    save_checkpoint(&folder.join("checkpoint"));
    std::fs::write(folder.join("serve.toml"), "bind = \"127.0.0.1:0\"\n[monitor]\nenabled = false\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.arg("serve").arg("--config").arg(folder.join("serve.toml"));
    command.arg("--checkpoint").arg(folder.join("checkpoint")).arg("--data-dir").arg(folder.join("data"));
    let mut program = Program(command.stderr(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(program.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.filter_map(|line| Some(line.split_once("listening on http://")?.1.to_owned())).next().unwrap();
    (program, address)
}

fn signal(program: &Program, name: &str) {
    let sent = Command::new("kill").args([name, &program.0.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Sends a PUT up to the middle of its body.
fn half_a_put(address: &str, picture: &[u8]) -> TcpStream {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = picture.len();
    let head =
        format!("PUT /v1/items/a HTTP/1.1\r\nHost: h\r\nContent-Type: image/png\r\nContent-Length: {length}\r\n");
    connection.write_all(format!("{head}Expect: 100-continue\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut reply = [0; 25];
    connection.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"HTTP/1.1 100 Continue\r\n\r\n", "the server is reading the body now");
    connection.write_all(&picture[..length / 2]).unwrap();
    connection
}

/// Waits for the process to act on a signal, which only shows in what it does.
fn wait_until_refused(address: &str) {
    let started = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(20), "the server still takes connections");
        std::thread::yield_now();
    }
}

#[test]
fn a_request_that_is_open_when_the_signal_comes_is_answered_and_then_the_program_ends() {
    for name in ["-TERM", "-INT"] {
        let folder = tempfile::tempdir().unwrap();
        let (mut program, address) = serve(folder.path());
        let picture = png(1);
        let mut connection = half_a_put(&address, &picture);

        signal(&program, name);
        wait_until_refused(&address);
        connection.write_all(&picture[picture.len() / 2..]).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();

        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(program.0.wait().unwrap().success(), "{name}");
    }
}
