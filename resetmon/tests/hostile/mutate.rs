//! Damage to good inputs.

use std::fmt;

use crate::random::Random;

/// Bytes that show themselves readably.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// How many accepted inputs are kept to damage further.
const KEPT: usize = 128;

/// Good inputs, and those that were accepted although damaged: the next ones start from either.
#[derive(Debug)]
pub(crate) struct Pool {
    seeds: Vec<Vec<u8>>,
    kept: Vec<Vec<u8>>,
    next: usize,
    tokens: &'static [&'static [u8]],
    most: usize,
}

impl Pool {
    /// Inputs of at most `most` bytes from these seeds; `tokens` are words of the format.
    pub(crate) fn new(
        seeds: impl IntoIterator<Item = impl Into<Vec<u8>>>,
        tokens: &'static [&'static [u8]],
        most: usize,
    ) -> Self {
        Self {
            seeds: seeds.into_iter().map(Into::into).collect(),
            kept: Vec::new(),
            next: 0,
            tokens,
            most,
        }
    }

    /// The next input: a good one, or usually a damaged one.
    pub(crate) fn make(&mut self, random: &mut Random) -> Vec<u8> {
        let mut input = self.start(random).to_vec();
        if random.one_in(50) {
            return input;
        }
        // Mostly little damage, so that it reaches what stands behind the first check.
        let most = if random.one_in(4) { 16 } else { 3 };
        let changes = 1 + random.below(most);
        for _ in 0..changes {
            self.change(&mut input, random);
        }
        input.truncate(self.most);
        input
    }

    /// Keeps an accepted input.
    pub(crate) fn keep(&mut self, input: &[u8]) {
        if self.kept.len() < KEPT {
            self.kept.push(input.to_vec());
        } else {
            self.kept[self.next % KEPT].clear();
            self.kept[self.next % KEPT].extend_from_slice(input);
        }
        self.next += 1;
    }

    fn start(&self, random: &mut Random) -> &[u8] {
        if self.kept.is_empty() || random.one_in(2) {
            &self.seeds[random.below(self.seeds.len())]
        } else {
            &self.kept[random.below(self.kept.len())]
        }
    }

    fn change(&self, input: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(input.len() + 1);
        let length = if random.one_in(8) {
            1 + random.below(input.len() + 1)
        } else {
            1 + random.below(8)
        };
        let end = (at + length).min(input.len());
        match random.below(12) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = random.byte();
                }
            }
            2 => drop(input.drain(at..end)),
            3 => {
                let copy = input[at..end].to_vec();
                insert(input, random, &copy);
            }
            4 => {
                let noise: Vec<u8> = (0..=random.below(6)).map(|_| random.byte()).collect();
                insert(input, random, &noise);
            }
            5 | 6 if !self.tokens.is_empty() => {
                let token = random.pick(self.tokens);
                insert(input, random, token);
            }
            7 if !self.tokens.is_empty() => {
                let token = random.pick(self.tokens);
                input.splice(at..end, token.iter().copied());
            }
            8 => {
                // A whole word of a binary format, where those are aligned.
                let width = random.choose(&[1, 2, 4, 8]);
                let at = at / width * width;
                let word = random.number().to_le_bytes();
                for (byte, new) in input.iter_mut().skip(at).zip(&word[..width]) {
                    *byte = *new;
                }
            }
            9 => {
                let other = self.start(random);
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            10 => {
                // Many times the same: what is cheap once may not be cheap then.
                let piece = input[at..end].to_vec();
                let times = random.below(64);
                if !piece.is_empty() && piece.len() * times + input.len() <= self.most {
                    let repeated = piece.repeat(times);
                    input.splice(at..at, repeated);
                }
            }
            _ => input.truncate(at),
        }
    }
}

fn insert(input: &mut Vec<u8>, random: &mut Random, piece: &[u8]) {
    let at = random.below(input.len() + 1);
    input.splice(at..at, piece.iter().copied());
}

/// Pieces of text that somebody may show to others: what steers a terminal, what formats escape,
/// what has an odd width.
const PIECES: &[&str] = &[
    "\u{1b}[31m",
    "\u{1b}]0;x\u{7}",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\0",
    "\u{7f}",
    "\u{85}",
    "\u{9b}31m",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\u{61c}",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{200b}",
    "\u{200d}",
    "\u{301}",
    "\u{fe0f}",
    "\u{ad}",
    "\u{e0001}",
    "\u{115f}",
    "\u{3164}",
    "\u{fffd}",
    "\"",
    "\\",
    "\\n",
    "\\x",
    "'",
    "`",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "=",
    ",",
    "#",
    " # ",
    ":",
    "/",
    "|",
    "*",
    "&",
    "!",
    "%",
    "$",
    "…",
    "é",
    "日本",
    "\u{644}\u{627}",
    "👩\u{200d}👩\u{200d}👧",
    "🇩🇪",
    "🏻",
    "ﷺ",
    "𝔊",
    "other",
    "nginx",
    "null",
    "~",
    "-",
    " ",
    "  ",
    "# EOF",
    "x",
    "10.0.0.1:80",
    "+Inf",
    "NaN",
];

/// Any text: pieces of every kind, sometimes long.
pub(crate) fn text(random: &mut Random) -> String {
    let mut text = String::new();
    let pieces = match random.below(8) {
        0 => 0,
        1 => random.below(80),
        _ => 1 + random.below(5),
    };
    for _ in 0..pieces {
        match random.below(5) {
            0 => text.extend(char::from_u32(random.word() % 0x11_0000)),
            1 => text.push(char::from(b' ' + random.byte() % 95)),
            2 if random.one_in(6) => {
                text.push_str(&random.pick(PIECES).repeat(random.below(300)));
            }
            _ => text.push_str(random.pick(PIECES)),
        }
    }
    text
}

/// True for what must not reach a terminal from outside.
pub(crate) fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}'
        )
        || ('\u{202a}'..='\u{202e}').contains(&letter)
        || ('\u{2066}'..='\u{2069}').contains(&letter)
}
