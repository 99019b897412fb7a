//! What needs a process of its own: the test binary runs one of its tests again, which is ignored else.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::attaching::artifact;
use super::*;
use crate::support::registry::{Referrers, Registry, Switches};

/// What a process is to do, in words.
const TASK: &str = "PORTCULLIS_TEST_TASK";

/// The words of the task; none where somebody runs ignored tests by hand.
pub fn task() -> Option<Vec<String>> {
    let task = std::env::var_os(TASK)?.into_string().unwrap();
    Some(task.split(' ').map(str::to_owned).collect())
}

/// A process that runs one test of this binary, with a task.
pub fn process(test: &str, task: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]).env(TASK, task);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The lines that begin with a word, without it.
pub fn told(output: &str, word: &str) -> Vec<String> {
    let lines = output.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    lines.map(str::to_owned).collect()
}

/// How many referrers each process attaches at once.
const EACH: usize = 50;

#[test]
#[ignore = "one of the two processes of the test below"]
fn writer() {
    let Some(task) = task() else { return };
    let [address, subject, name] = task.as_slice() else { panic!("{task:?}") };
    let client = Client::new(settings()).unwrap();
    let repository = client.repository(&format!("{address}/{APP}:v1").parse().unwrap()).unwrap();
    let artifacts: Vec<_> =
        (0..EACH).map(|n| artifact(&client, &repository, subject, &format!("{name}-{n}"))).collect();
    let subject: Digest = subject.parse().unwrap();
    // The harness has begun a line.
    println!("\nready");
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    std::thread::scope(|scope| {
        for artifact in artifacts {
            let (client, repository, subject) = (&client, &repository, &subject);
            scope.spawn(move || {
                let digest = Digest::sha256(&artifact.manifest);
                match client.run(repository.attach(subject, &[artifact])) {
                    Ok(_) => println!("listed {digest}"),
                    Err(error) => println!("lost {digest} {error}"),
                }
            });
        }
    });
}

fn start(registry: &Registry, subject: &str, name: &str) -> (Child, BufReader<ChildStdout>) {
    let task = format!("{} {subject} {name}", registry.address());
    let mut child = process("registry::processes::writer", &task).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the process ended early");
    }
    (child, output)
}

#[test]
fn two_processes_write_to_one_fallback_tag() {
    for run in 0..20 {
        let (etag, lag) = [(true, 0), (false, 0), (false, 120)][run % 3];
        let switches = Switches {
            referrers: Referrers::Off,
            etag,
            read_after_write_lag: Duration::from_millis(lag),
            ..Switches::default()
        };
        let registry = Registry::start(switches);
        let subject = small_image(&registry);
        let mut processes = ["a", "b"].map(|name| start(&registry, &subject, name));
        for (child, _) in &mut processes {
            child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        }
        let (mut listed, mut lost) = (Vec::new(), Vec::new());
        for (mut child, output) in processes {
            let output = std::io::read_to_string(output).unwrap();
            assert!(child.wait().unwrap().success(), "{output}");
            listed.extend(told(&output, "listed"));
            lost.extend(told(&output, "lost"));
        }
        assert_eq!(listed.len() + lost.len(), 2 * EACH, "run {run}");
        // Both have looked again some time after their last write: what they say is there, is there.
        let there = registry.fallback(APP, &subject);
        let there: Vec<&str> = there.iter().filter_map(|entry| entry["digest"].as_str()).collect();
        for digest in &listed {
            assert!(there.contains(&digest.as_str()), "run {run}, etag {etag}, lag {lag} ms: {digest}");
        }
        // With conditional writes nobody has to give up.
        assert!(!etag || lost.is_empty(), "run {run}: {lost:?}");
        println!("run {run}, etag {etag}, lag {lag} ms: {} listed, {} lost", listed.len(), lost.len());
    }
}
