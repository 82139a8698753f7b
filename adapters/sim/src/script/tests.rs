use super::language::{self, LONGEST_LINE, MOST_BYTES, MOST_LINES, Malformed};
use super::world::World;
use super::{PAGE, run};
use quorate::id::Index;
use quorate::raft::Raft;
use quorate::rng::Rng;

fn told(script: &str) -> String {
    let script = language::read(script.as_bytes()).expect("a script that makes sense");
    let mut out = Vec::new();
    run(&script, &mut out).expect("a vector takes everything");
    String::from_utf8(out).expect("text")
}

/// What is wrong with a script: the line, and why.
fn wrong(script: &str) -> (usize, String) {
    let Malformed { line, what } = language::read(script.as_bytes()).expect_err("no sense");
    (line, what)
}

#[test]
fn an_unknown_command_is_named_with_its_line() {
    let (line, what) = wrong("# a comment\n\nadd-nodes 1 voters=(1)\nfrobnicate 1\n");
    assert_eq!(line, 4);
    assert!(
        what.starts_with("unknown command `frobnicate`; the commands are add-nodes,"),
        "{what}"
    );
}

#[test]
fn a_bad_argument_is_named_with_its_line() {
    for (line, says) in [
        ("add-nodes", "add-nodes needs how many"),
        ("add-nodes 0", "there are 1 to 31 nodes; this would make 3"),
        ("add-nodes 29", "there are 1 to 31 nodes; this would make 32"),
        ("add-nodes 1 voters=(1,x)", "`x` is no node; nodes are 1 to 31"),
        ("add-nodes 1 voters=(1) learners=(1)", "node 1 cannot both vote and learn"),
        ("add-nodes 1 learners=(4)", "somebody must vote"),
        ("add-nodes 1 index=9", "a snapshot names who votes"),
        ("add-nodes 1 voters=(1) index=-1", "index is a number up to"),
        ("add-nodes 1 voters=(1) index=99999999999999", "index is a number up to"),
        ("add-nodes 1 voters=(1) prevote=no", "prevote is true or false, not `no`"),
        ("add-nodes 1 voters=(1) colour=red", "there is no argument `colour=red` here"),
        ("add-nodes 1 voters=(1", "a parenthesis is open; close it"),
        ("add-nodes 1 voters=1)", "a parenthesis is closed that is not open"),
        ("add-nodes 1 voters=(1) voters=(2)", "`voters` is given twice"),
        ("campaign", "campaign needs one node, such as `campaign 1`"),
        ("campaign 1 2", "campaign needs one node"),
        ("campaign 4", "there is no node 4; the last is 3"),
        ("campaign 0", "`0` is no node"),
        ("propose", "`` is no node"),
        ("propose-conf-change", "propose-conf-change needs a node"),
        ("propose-conf-change 1 x4", "`x4` is no change; write v4"),
        ("propose-conf-change 1 v300", "`v300` is no change; write v4"),
        ("propose-conf-change 1 v1=true v4 v5", "v1=true makes one change"),
        ("propose-conf-change 1 v1=perhaps v4", "v1 is true or false, not `perhaps`"),
        ("propose-conf-change 1 transition=soon", "transition is auto, implicit or explicit"),
        ("deliver 1 last=2", "there is no argument `last=2` here"),
        ("drop 9", "there is no node 9"),
        ("transfer-leadership from=1", "transfer-leadership needs both"),
        ("transfer-leadership 1 2 3", "`3` is one word too many"),
        ("compact", "compact needs a node"),
        ("compact 1 x", "the index is a number up to"),
        ("crash", "crash needs a node"),
        ("tick-election", "tick-election needs a node"),
        ("partition", "partition needs its parts"),
        ("partition (1,2) (2,3)", "node 2 is in one part of the network, and no more"),
        ("heal now", "`now` is one word too many"),
        ("v4", "unknown command `v4`"),
    ] {
        let (at, what) = wrong(&format!("add-nodes 3 voters=(1,2,3)\n{line}\n"));
        assert!(at == 2 && what.starts_with(says), "{line}: {at}: {what}");
        assert!(!what.contains('\n'));
    }
    assert_eq!(wrong("heal\ncampaign 1").1, "there is no node 1; begin with add-nodes");
}

#[test]
fn a_script_is_bounded() {
    assert_eq!(wrong(&"\n".repeat(MOST_BYTES + 1)).0, 1);
    assert_eq!(wrong(&format!("\n#{}", "x".repeat(LONGEST_LINE))).0, 2);
    assert_eq!(wrong(&"heal\n".repeat(MOST_LINES + 1)).0, MOST_LINES + 1);
    assert!(language::read("heal\n".repeat(MOST_LINES).as_bytes()).is_ok());
    let malformed = language::read(b"heal\n\xff").expect_err("no text");
    assert_eq!(malformed, Malformed { line: 2, what: "this is not UTF-8".to_owned() });
}

#[test]
fn changes_may_stand_below_until_something_else_comes() {
    let begin = "add-nodes 3 voters=(1,2,3)\ncampaign 1\nstabilize\npropose-conf-change 1";
    for rest in [" v4 l5\n", "\nv4 l5\n", "\nv4\n# a comment\nl5\n", " v4\r\nl5\r\nstatus\r\n"] {
        let told = told(&format!("{begin}{rest}"));
        let says = "1/2 voters=(1,2,3,4)&&(1,2,3) learners=(5) autoleave";
        assert!(told.contains(says), "{rest:?}: {told}");
    }
    assert_eq!(wrong(&format!("{begin}\nv4\n\nl5\n")).0, 7, "an empty line ends them");
    let unchanged = told(&format!("{begin} v0 u2\n"));
    assert!(unchanged.contains(". 1 appends 1/2 voters=(1,2,3)\n"), "{unchanged}");
}

#[test]
fn what_etcds_tests_expect_is_passed_over() {
    let script = "add-nodes 1 voters=(1)\n----\nok\n\ncampaign 1\nstabilize\n----\n----\nfrob\n\n\
                  frob\n----\n----\n\nraft-state\n----\n1: StateLeader\n";
    assert!(told(script).contains("> raft-state\n. 1 leads term 1:\n"));
}

#[test]
fn messages_are_chosen_by_sender_receiver_and_kind() {
    let begin = "add-nodes 3 voters=(1,2,3)\ncampaign 1\ncampaign 2\nprocess-ready\n";
    let heard = |line: &str| {
        let told = told(&format!("{begin}{line}"));
        let is_hearing = |line: &&str| line.starts_with(". hears") || line.starts_with(". drops");
        let words = |line: &str| line.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" ");
        told.lines().filter(is_hearing).map(words).collect::<Vec<_>>()
    };
    let all = ["hears 1->2", "hears 1->3", "hears 2->1", "hears 2->3"];
    assert_eq!(heard("deliver"), all);
    assert_eq!(heard("deliver from=1"), ["hears 1->2", "hears 1->3"]);
    assert_eq!(heard("deliver 3 from=2 type=MsgPreVote"), ["hears 2->3"]);
    assert_eq!(heard("deliver type=prevote to=(1,2)"), ["hears 1->2", "hears 2->1"]);
    assert_eq!(heard("deliver type=Append"), Vec::<String>::new());
    assert_eq!(heard("deliver drop=3"), ["drops 1->3", "drops 2->3"]);
    assert_eq!(heard("deliver 1 drop=(3)"), ["drops 1->3", "drops 2->3", "hears 2->1"]);
    assert_eq!(heard("drop from=2"), ["drops 2->1", "drops 2->3"]);
}

/// How each node's line begins after the last command.
fn ends(script: &str) -> Vec<String> {
    let told = told(script);
    let (_, last) = told.rsplit_once("> ").expect("a command");
    let nodes = last.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    nodes.map(|line| line.split(' ').take(4).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_partition_is_written_in_several_ways() {
    for parts in ["(3) (1,2)", "3", "(3)", "1 2 | 3", "1,2|3", "(1 2),(3)", "(1,2) # but not 3"] {
        let script =
            format!("add-nodes 3 voters=(1,2,3)\npartition {parts}\ncampaign 1\nstabilize");
        let meant =
            ["1 leader term=1 vote=1", "2 follower term=1 vote=1", "3 follower term=0 vote=0"];
        assert_eq!(ends(&script), meant, "{parts}");
    }
}

#[test]
fn the_time_of_the_others_passes_unless_they_are_loyal() {
    let script = |with: &str| {
        let begin = format!("add-nodes 3 voters=(1,2,3){with}\ncampaign 1\nstabilize\n");
        format!("{begin}campaign 2\nstabilize\n")
    };
    assert_eq!(ends(&script(""))[1], "2 leader term=2 vote=2");
    assert_eq!(ends(&script(" checkquorum=true"))[1], "2 canvasser term=1 vote=1");
}

#[test]
fn who_need_not_ask_first_is_a_candidate_at_once() {
    let meant =
        ["1 candidate term=1 vote=1", "2 follower term=0 vote=0", "3 follower term=0 vote=0"];
    assert_eq!(ends("add-nodes 3 voters=(1,2,3) prevote=false\ncampaign 1\n"), meant);
    assert_eq!(ends("add-nodes 3 voters=(1,2,3)\ncampaign 1 prevote=false\n"), meant);
    assert_eq!(ends("add-nodes 3 voters=(1,2,3)\ncampaign 1\n")[0], "1 canvasser term=0 vote=0");
    let told = told("add-nodes 3 voters=(1,2,3) prevote=false\ncampaign 1\nstabilize\n");
    assert!(!told.contains("PreVote") && told.contains("1 leader term=1"), "{told}");
}

#[test]
fn the_page_describes_every_command_and_its_example_runs() {
    for name in language::NAMES.split(", ") {
        assert!(PAGE.contains(&format!("| `{name}")), "{name}");
    }
    let example = PAGE.split("```").nth(1).expect("an example");
    assert!(told(example).contains("1 leader term=2 vote=1 lead=1 commit=11"));
}

/// Words that scripts are made of, and some that they are not.
const WORDS: &[&str] = &[
    "campaign",
    "propose",
    "propose-conf-change",
    "deliver",
    "deliver-msgs",
    "drop",
    "process-ready",
    "stabilize",
    "stabilize",
    "stabilize",
    "tick-election",
    "tick-heartbeat",
    "tick-heartbeat",
    "transfer-leadership",
    "compact",
    "crash",
    "restart",
    "restart",
    "partition",
    "heal",
    "status",
    "raft-log",
    "raft-state",
    "log-level",
    "add-nodes",
];
const ARGUMENTS: &[&str] = &[
    "1",
    "2",
    "3",
    "1",
    "2",
    "3",
    "4",
    "5",
    "0",
    "12",
    "13",
    "31",
    "99",
    "-1",
    "x",
    "(1,2)",
    "(3)",
    "|",
    "from=1",
    "to=2",
    "from=3",
    "to=(1,2)",
    "type=MsgApp",
    "drop=(3)",
    "v1=true",
    "transition=explicit",
    "transition=implicit",
    "v4",
    "l4",
    "r4",
    "r1",
    "l2",
    "v2",
    "w5",
    "u3",
    "r3",
    "v0",
    "prevote=false",
    "voters=(1,2)",
    "learners=(3)",
    "index=4",
    "inflight=1",
    "\u{e9}",
    "\"",
    "(",
    ")",
    "=",
    "#",
    "\n",
    "\n",
];

/// Commands drawn at random, those that make no sense left out.
fn drawn(rng: &mut Rng) -> language::Script {
    let mut text = "add-nodes 4 voters=(1,2,3) index=10\n".to_owned();
    while text.len() < 3_000 {
        let mut line = WORDS[rng.below(WORDS.len() as u64) as usize].to_owned();
        for _ in 0..rng.below(4) {
            line.push(' ');
            line.push_str(ARGUMENTS[rng.below(ARGUMENTS.len() as u64) as usize]);
        }
        line.push('\n');
        if language::read(format!("{text}{line}").as_bytes()).is_ok() {
            text.push_str(&line);
        }
    }
    language::read(text.as_bytes()).expect("every line made sense")
}

/// No two nodes know different entries to be committed where both logs still say.
fn check(world: &World) {
    let living: Vec<&Raft> = world.nodes.keys().filter_map(|node| world.machine(*node)).collect();
    for (one, other) in living.iter().flat_map(|one| living.iter().map(move |other| (one, other))) {
        let last = one.commit().min(other.commit()).number();
        for at in (last.saturating_sub(20)..=last).map(Index::new) {
            let terms = [one.log().term_at(at), other.log().term_at(at)];
            if let [Some(one), Some(other)] = terms {
                assert_eq!(one, other, "two entries are committed at {at}");
            }
        }
    }
}

#[test]
fn no_script_panics_and_none_commits_two_entries_at_one_place() {
    for seed in 0..16 {
        let script = drawn(&mut Rng::new(seed));
        let mut world = World::new();
        for step in &script.steps {
            world.obey(&step.command);
            check(&world);
        }
        let mut out = Vec::new();
        run(&script, &mut out).expect("a vector takes everything");
        assert!(out.len() < 40 << 20, "a script of {} commands", script.steps.len());
    }
}

#[test]
fn no_bytes_panic() {
    let mut rng = Rng::new(7);
    for _ in 0..1_000 {
        let mut line = b"add-nodes 2 voters=(1,2)\n".to_vec();
        for _ in 0..rng.below(12) {
            match rng.below(4) {
                0 => line.push(rng.below(256) as u8),
                1 => line.extend(WORDS[rng.below(WORDS.len() as u64) as usize].bytes()),
                2 => line.push(b' '),
                _ => line.extend(ARGUMENTS[rng.below(ARGUMENTS.len() as u64) as usize].bytes()),
            }
        }
        if let Ok(script) = language::read(&line) {
            run(&script, &mut Vec::new()).expect("a vector takes everything");
        }
    }
}
