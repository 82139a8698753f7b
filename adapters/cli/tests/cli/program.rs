//! Running the program and looking at what it says.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long anything may take that is not supposed to take long, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a process may take: none of them runs half as long, or asks for longer.
const LONGEST: Duration = Duration::from_secs(300);

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program with these arguments, which are separated by spaces.
pub(crate) fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(arguments.split(' ')).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn quorate(arguments: &str) -> Ran {
    Ran::of(&mut command(arguments))
}

impl Ran {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program runs");
        let (out, err) = (heard(child.stdout.take()), heard(child.stderr.take()));
        let ended = end_of(&mut child);
        let text = |heard: JoinHandle<Vec<u8>>| {
            String::from_utf8(heard.join().expect("a pipe")).expect("the program speaks UTF-8")
        };
        let code = ended.and_then(|status| status.code());
        let ran = Self { code, out: text(out), err: text(err) };
        assert!(ended.is_some(), "it ran for {LONGEST:?} and was killed: {command:?} {ran:?}");
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        ran
    }

    /// The result of a command that was done.
    pub(crate) fn done(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out
    }

    /// The one line of a command that failed with that code and printed no result.
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{self:?}");
        let line = self.err.strip_suffix('\n').expect("a whole line");
        assert!(!line.contains('\n'), "one line: {line}");
        assert!(line.contains([';', ':']), "it says what to do: {line}");
        line.strip_prefix("quorate: ").expect("the program says who speaks").to_owned()
    }
}

/// All that comes out of a pipe.
fn heard(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    let mut pipe = pipe.expect("it is piped");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe");
        bytes
    })
}

/// Waits for a process; none if it did not end and had to be killed.
pub(crate) fn end_of(child: &mut Child) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < LONGEST {
        if let Some(status) = child.try_wait().expect("a child") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().and_then(|()| child.wait()).expect("a child");
    None
}

/// Waits until something is so.
pub(crate) fn await_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
