//! One line of the configuration cut into words: quotes, escapes, environment variables.

use std::collections::HashMap;

/// Longest line after variables were put in, bytes; no more than a hostile environment may cost.
const MOST_BYTES: usize = 256 << 10;

/// The environment that `HAProxy` reads its configuration in.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    values: HashMap<String, String>,
    initial: HashMap<String, String>,
}

impl Variables {
    /// From entries `NAME=value`.
    pub(super) fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let pairs = entries
            .into_iter()
            .filter_map(|entry| entry.split_once('='));
        let values: HashMap<String, String> = pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            initial: values.clone(),
            values,
        }
    }

    /// The value of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Sets `name`.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// Sets `name` unless it is set.
    pub(super) fn preset(&mut self, name: &str, value: &str) {
        if !self.values.contains_key(name) {
            self.set(name, value);
        }
    }

    /// Forgets `name`.
    pub(super) fn unset(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// As the process was started, but only the variables `names`.
    pub(super) fn reset(&mut self, names: &[String]) {
        let kept = |(name, _): &(&String, &String)| names.contains(name);
        let kept = self.initial.iter().filter(kept);
        self.values = kept
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
    }
}

/// A line's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The words, without quotes.
    pub(super) words: Vec<String>,
    /// Variables without a value or default, which `HAProxy` replaces by nothing.
    pub(super) unset: Vec<String>,
}

/// Cuts `text` into words (manual, "Quoting and escaping" and "Environment variables").
///
/// Errors: a quote or brace that is not closed, a line that grows beyond all measure.
pub(super) fn cut(text: &str, variables: &Variables) -> Result<Line, String> {
    let mut cutter = Cutter {
        rest: text,
        variables,
        line: Line::default(),
        word: String::new(),
        in_word: false,
        length: 0,
    };
    cutter.run()?;
    Ok(cutter.line)
}

struct Cutter<'a> {
    rest: &'a str,
    variables: &'a Variables,
    line: Line,
    word: String,
    /// Quotes make a word even if nothing stands between them.
    in_word: bool,
    length: usize,
}

impl Cutter<'_> {
    fn run(&mut self) -> Result<(), String> {
        let mut weak = false;
        while let Some(sign) = self.next() {
            match sign {
                '"' => {
                    weak = !weak;
                    self.in_word = true;
                }
                '\'' if !weak => {
                    self.in_word = true;
                    let (inside, after) = self
                        .rest
                        .split_once('\'')
                        .ok_or("a single quote is not closed")?;
                    self.rest = after;
                    self.put(inside)?;
                }
                '\\' => self.escape()?,
                '$' if weak => self.variable()?,
                '#' if !weak => break,
                ' ' | '\t' if !weak => self.end_word(),
                other => self.put(other.encode_utf8(&mut [0; 4]))?,
            }
        }
        if weak {
            return Err("a double quote is not closed".to_owned());
        }
        self.end_word();
        Ok(())
    }

    fn next(&mut self) -> Option<char> {
        let sign = self.rest.chars().next()?;
        self.rest = &self.rest[sign.len_utf8()..];
        Some(sign)
    }

    fn put(&mut self, text: &str) -> Result<(), String> {
        self.length = self.length.saturating_add(text.len());
        if self.length > MOST_BYTES {
            return Err(format!("the line has more than {} KiB", MOST_BYTES >> 10));
        }
        self.word.push_str(text);
        self.in_word = true;
        Ok(())
    }

    fn end_word(&mut self) {
        if std::mem::take(&mut self.in_word) {
            self.line.words.push(std::mem::take(&mut self.word));
        }
    }

    /// What follows a backslash; one that escapes nothing stands for itself.
    fn escape(&mut self) -> Result<(), String> {
        let sign = self.rest.chars().next();
        let meant = match sign {
            Some(sign @ (' ' | '\t' | '\\' | '#' | '"' | '\'' | '$')) => sign,
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('x') => {
                let code = self
                    .rest
                    .get(1..3)
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok())
                    .ok_or("\\x takes two hexadecimal digits")?;
                self.rest = &self.rest[3..];
                return self.put(char::from(code).encode_utf8(&mut [0; 4]));
            }
            _ => return self.put("\\"),
        };
        self.next();
        self.put(meant.encode_utf8(&mut [0; 4]))
    }

    /// What follows a dollar sign inside double quotes.
    fn variable(&mut self) -> Result<(), String> {
        let braced = self.rest.strip_prefix('{');
        let text = braced.unwrap_or(self.rest);
        let is_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '.';
        let length = text.find(|sign| !is_name(sign)).unwrap_or(text.len());
        let (name, mut after) = text.split_at(length);
        if name.is_empty() {
            return Err("no name of a variable after $; a dollar sign is written \\$".to_owned());
        }
        let (mut default, mut several) = (None, false);
        if braced.is_some() {
            let (inside, rest) = after
                .split_once('}')
                .ok_or_else(|| format!("the brace of ${{{name} is not closed"))?;
            after = rest;
            let inside = match inside.strip_prefix("[*]") {
                Some(inside) => {
                    several = true;
                    inside
                }
                None => inside,
            };
            default = inside.strip_prefix('-');
            if default.is_none() && !inside.is_empty() {
                return Err(format!("`{inside}` after the name of a variable"));
            }
        }
        self.rest = after;
        let variables = self.variables;
        let Some(value) = variables.get(name).or(default) else {
            self.line.unset.push(name.to_owned());
            return Ok(());
        };
        if !several {
            return self.put(value);
        }
        for (index, part) in value.split(' ').filter(|part| !part.is_empty()).enumerate() {
            if index > 0 {
                self.end_word();
            }
            self.put(part)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        Variables::new([
            "A=1",
            "EMPTY=",
            "LIST=x:1 y:2",
            "SPACE=a b",
            "no equals sign",
        ])
    }

    #[test]
    fn words_as_the_manual_says() {
        for (line, expected) in [
            ("", &[][..]),
            ("   # comment", &[]),
            ("a  b\tc#d", &["a", "b", "c"]),
            (
                r"log-format %{+Q}o\ %t\ %s\ %{-Q}r",
                &["log-format", "%{+Q}o %t %s %{-Q}r"],
            ),
            (
                r#"log-format "%{+Q}o %t %s %{-Q}r""#,
                &["log-format", "%{+Q}o %t %s %{-Q}r"],
            ),
            (
                "log-format '%{+Q}o %t %s %{-Q}r'",
                &["log-format", "%{+Q}o %t %s %{-Q}r"],
            ),
            (
                r#"log-format "%{+Q}o %t"' %s'\ %{-Q}r"#,
                &["log-format", "%{+Q}o %t %s %{-Q}r"],
            ),
            (r#"x "" ''"#, &["x", "", ""]),
            (r"\#a \\ \' \x41\n \q", &["#a", "\\", "'", "A\n", "\\q"]),
            (
                r#""\$A \" it's #" "$""#.trim_end_matches(" \"$\""),
                &["$A \" it's #"],
            ),
            ("'$A ${A}' $A ${A}", &["$A ${A}", "$A", "${A}"]),
            (r#"bind "$A:80" "${A}0""#, &["bind", "1:80", "10"]),
            (
                r#""${NONE-127.0.0.1}:514" "${A-x}" "${EMPTY-x}""#,
                &["127.0.0.1:514", "1", ""],
            ),
            (
                r#"bind "${LIST[*]}" "$SPACE""#,
                &["bind", "x:1", "y:2", "a b"],
            ),
            (r#""${NONE[*]-p}q""#, &["pq"]),
        ] {
            let found = cut(line, &variables()).unwrap();
            assert_eq!(found.words, expected, "{line}");
            assert_eq!(found.unset, [""; 0], "{line}");
        }
        let found = cut(r#"server a "$HOST:80""#, &variables()).unwrap();
        assert_eq!(found.words, ["server", "a", ":80"]);
        assert_eq!(found.unset, ["HOST"]);
    }

    #[test]
    fn broken_lines() {
        for (line, part) in [
            (r#"a "b"#, "double quote"),
            ("a 'b", "single quote"),
            (r#""${A""#, "brace"),
            (r#""${A+x}""#, "after the name"),
            (r#""$""#, "no name"),
            (r"\x4", "hexadecimal"),
            (r"\xé0", "hexadecimal"),
        ] {
            let error = cut(line, &variables()).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
        let large = Variables::new([&*format!("A={}", "x".repeat(MOST_BYTES / 2))]);
        assert!(cut(r#""$A$A$A""#, &large).is_err());
    }

    #[test]
    fn the_environment_can_be_changed() {
        let mut variables = variables();
        variables.set("B", "2");
        variables.preset("A", "3");
        variables.preset("C", "4");
        variables.unset("EMPTY");
        let all = ["A", "B", "C", "EMPTY"].map(|name| variables.get(name).map(str::to_owned));
        assert_eq!(
            all,
            [Some("1"), Some("2"), Some("4"), None].map(|v| v.map(str::to_owned))
        );
        variables.reset(&["A".to_owned(), "NONE".to_owned()]);
        assert_eq!((variables.get("A"), variables.get("B")), (Some("1"), None));
    }
}
