//! Every command of the pages was run: by a test, or by hand, as the page of commands says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::Parser as _;
use resetmon::cli::Cli;

use crate::{files, pages};

/// Where each command stands beside who ran it.
const TABLE: &str = "COMMANDS.md";

/// Programs by which a span of code between words is known as a command.
const PROGRAMS: [&str; 26] = [
    "apt",
    "cargo",
    "cd",
    "cp",
    "curl",
    "ctr",
    "docker",
    "git",
    "helm",
    "htpasswd",
    "install",
    "journalctl",
    "kubectl",
    "mkdir",
    "nginx",
    "openssl",
    "podman",
    "prometheus",
    "promtool",
    "python3",
    "resetmon",
    "rmdir",
    "sha256sum",
    "systemctl",
    "tar",
    "tshark",
];

/// Blocks that hold no commands, by how they begin.
const OTHER_BLOCKS: [&str; 4] = [
    "gateway-ebpf-common/ ",
    "resets      direction",
    "samples a second",
    "[Service]",
];

/// The pages with commands: the README of all, and what lies below `deploy/`.
fn sources() -> Vec<String> {
    let mut names = vec!["../README.md".to_owned()];
    markdown(&files::path(""), "", &mut names);
    names.sort();
    names
}

fn markdown(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            markdown(&path, &format!("{name}/"), names);
        } else if path.extension().is_some_and(|end| end == "md") && name != TABLE {
            names.push(name);
        }
    }
}

/// The commands of a page, each once, on one line and without its comment.
fn commands(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut prose = String::new();
    let mut block: Vec<&str> = Vec::new();
    let mut fence: Option<&str> = None;
    let mut blank = true;
    for line in page.lines().chain([""]) {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = match fence {
                None => Some(language),
                Some(_) => None,
            };
        } else if let Some(language) = fence {
            // Of what a terminal shows, the lines that somebody typed.
            match line.strip_prefix("$ ") {
                Some(typed) => found.extend(parts(typed)),
                None if ["", "sh", "bash"].contains(&language) => found.extend(parts(line)),
                None => {}
            }
        } else if line.starts_with("    ") && (blank || !block.is_empty()) {
            block.push(line.trim());
            continue;
        } else {
            prose.push_str(line);
            prose.push('\n');
        }
        found.extend(typed(&std::mem::take(&mut block)));
        blank = line.is_empty();
    }
    for span in prose.split('`').skip(1).step_by(2) {
        let words: Vec<&str> = span.split_whitespace().collect();
        let program = words.iter().find(|word| !word.contains('='));
        if words.len() > 1 && program.is_some_and(|program| PROGRAMS.contains(program)) {
            found.insert(words.join(" "));
        }
    }
    found
}

/// The commands of an indented block.
fn typed(block: &[&str]) -> Vec<String> {
    let is_other = |first: &&str| OTHER_BLOCKS.iter().any(|other| first.starts_with(other));
    if block.first().is_none_or(is_other) {
        return Vec::new();
    }
    let mut whole = String::new();
    for line in block {
        if let Some(part) = line.strip_suffix('\\') {
            whole.push_str(part);
        } else {
            whole.push_str(line);
            whole.push('\n');
        }
    }
    let found: Vec<String> = whole.lines().flat_map(parts).collect();
    for command in &found {
        let program = command.split(' ').next();
        assert!(
            program.is_some_and(|program| PROGRAMS.contains(&program)),
            "a block with `{command}`: add the program to PROGRAMS, or the block to OTHER_BLOCKS"
        );
    }
    found
}

/// The commands of a line.
fn parts(line: &str) -> Vec<String> {
    let bare = line.split(" #").next().unwrap_or_default();
    bare.split(" && ")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|part| !part.is_empty())
        .collect()
}

/// Who ran what, as the page of commands has it.
fn table() -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for line in files::read(TABLE).lines() {
        let row = line
            .strip_prefix("| `")
            .and_then(|rest| rest.strip_suffix(" |"));
        if let Some((command, by)) = row.and_then(|row| row.split_once("` | ")) {
            // As Markdown wants it in a table.
            let command = command.replace("\\|", "|");
            let before = rows.insert(command.clone(), by.to_owned());
            assert!(before.is_none(), "twice: {command}");
        }
    }
    rows
}

#[test]
fn every_command_was_run() {
    let table = table();
    let mut written: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in sources() {
        for command in commands(&files::read(&name)) {
            written.entry(command).or_default().push(name.clone());
        }
    }
    assert!(written.len() > 50, "{written:#?}");
    let missing: Vec<_> = written
        .iter()
        .filter(|(command, _)| !table.contains_key(*command))
        .collect();
    assert!(missing.is_empty(), "not in {TABLE}: {missing:#?}");
    let stale: Vec<_> = table
        .keys()
        .filter(|command| !written.contains_key(*command))
        .collect();
    assert!(
        stale.is_empty(),
        "in {TABLE} and on no other page: {stale:#?}"
    );
}

/// Tests that are named exist, and what was done by hand has a day and a place.
#[test]
fn every_row_says_by_whom() {
    let known = pages::known_tests();
    for (command, by) in table() {
        if let Some(by_hand) = by.strip_prefix("by hand, ") {
            let (day, what) = by_hand.split_once(": ").unwrap_or_default();
            let digits: Vec<usize> = day.split('-').map(str::len).collect();
            let is_day = day.chars().all(|c| c.is_ascii_digit() || c == '-');
            assert!(is_day && digits == [4, 2, 2], "{command}: which day? {by}");
            assert!(what.len() > 7, "{command}: where? {by}");
            continue;
        }
        let spans = by.split('`').skip(1).step_by(2);
        let names: Vec<&str> = spans.filter(|span| !span.contains([' ', '-'])).collect();
        assert!(!names.is_empty(), "{command}: by whom? {by}");
        for name in names {
            assert!(known.contains(name), "{command}: there is no test {name}");
        }
    }
}

/// The words for resetmon in a command: on its own, or in a container.
fn asked(command: &str) -> Option<Vec<&str>> {
    let is_program = |word: &str| {
        word == "resetmon" || word.starts_with("resetmon:") || word.ends_with("bin/resetmon")
    };
    let mut words = command.split(' ');
    let rest: Vec<&str> = match words.next()? {
        "resetmon" => words.collect(),
        "kubectl" => words.skip_while(|word| *word != "--").skip(2).collect(),
        "docker" if ["run", "exec"].contains(&words.next()?) => {
            let words: Vec<&str> = words.collect();
            // A container may bear its name, too.
            let at = words.iter().rposition(|word| is_program(word))?;
            words[at + 1..].to_vec()
        }
        _ => return None,
    };
    (!rest.is_empty()).then_some(rest)
}

/// What is said to resetmon itself it understands.
#[test]
fn resetmon_takes_its_commands() {
    let table = table();
    let mut seen = 0;
    for (command, words) in table.keys().filter_map(|one| Some((one, asked(one)?))) {
        match Cli::try_parse_from(["resetmon"].into_iter().chain(words)) {
            Ok(_) => {}
            Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {}
            // `record` alone stands for what it does, not for a whole command.
            Err(error) if error.kind() == clap::error::ErrorKind::MissingRequiredArgument => {
                assert_eq!(command, "resetmon record", "{error}");
            }
            Err(error) => panic!("{command}: {error}"),
        }
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn commands_are_found_in_all_their_forms() {
    let page = "Type `resetmon watch`, or see `resetmon`, or `UPDATE=1 cargo test`.\n\
                \n    apt install ./x.deb   # starts\n    tar -x \\\n      y && cd y\n\
                \n    [Service]\n    Key=value\n\n```text\n$ resetmon routes\nshown `resetmon nothing`\n```\n\
                \n```yaml\nkey: resetmon never\n```\n\n- a list\n    goes on with `curl -s x`\n";
    let found: Vec<String> = commands(page).into_iter().collect();
    let expected = [
        "UPDATE=1 cargo test",
        "apt install ./x.deb",
        "cd y",
        "curl -s x",
        "resetmon routes",
        "resetmon watch",
        "tar -x y",
    ];
    assert_eq!(found, expected);
}
