//! A Caddyfile as a tree of directives.
//!
//! <https://caddyserver.com/docs/caddyfile/concepts>

/// Deepest nesting of blocks.
const MAX_DEPTH: usize = 32;

/// A directive, a subdirective or a site: words, and perhaps a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directive {
    /// Line in its file, from 1.
    pub(super) line: usize,
    /// Never empty, but for the block of global options.
    pub(super) words: Vec<String>,
    /// What stands in its braces.
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    /// The first word.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The other words.
    pub(super) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or(&[])
    }

    /// The directives of the block.
    pub(super) fn inside(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or(&[])
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Token {
    line: usize,
    /// Its line and those that go on with a backslash, counted as one.
    row: usize,
    text: String,
    /// Braces in quotes are no braces.
    quoted: bool,
}

/// The directives of `text`, or what is wrong with it and where.
pub(super) fn parse(text: &str) -> Result<Vec<Directive>, String> {
    let tokens = tokens(text);
    let mut rest = &tokens[..];
    let directives = block(&mut rest, 0)?;
    match rest.first() {
        Some(token) => Err(format!("line {}: a closing brace too many", token.line)),
        None => Ok(directives),
    }
}

/// Directives up to the closing brace, which is left, or the end.
fn block(rest: &mut &[Token], depth: usize) -> Result<Vec<Directive>, String> {
    let mut directives = Vec::new();
    while let Some(first) = rest.first() {
        if !first.quoted && first.text == "}" {
            break;
        }
        if depth > MAX_DEPTH {
            return Err(format!(
                "line {}: nested deeper than {MAX_DEPTH}",
                first.line
            ));
        }
        let mut directive = Directive {
            line: first.line,
            ..Directive::default()
        };
        let mut row = first.row;
        while let Some((token, after)) = rest.split_first() {
            // A list of sites goes on after a comma.
            let listed = directive
                .words
                .last()
                .is_some_and(|word| word.ends_with(','));
            if token.row != row && !(depth == 0 && listed) {
                break;
            }
            row = token.row + token.text.matches('\n').count();
            if !token.quoted && token.text == "}" {
                break;
            }
            *rest = after;
            if !token.quoted && token.text == "{" {
                directive.block = Some(block(rest, depth + 1)?);
                match rest.split_first() {
                    Some((_, after)) => *rest = after,
                    None => return Err(format!("line {}: the block has no end", token.line)),
                }
                break;
            }
            directive.words.push(token.text.clone());
        }
        directives.push(directive);
    }
    Ok(directives)
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let (mut line, mut joined) = (1, 0);
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            line += usize::from(first == '\n');
            rest = &rest[first.len_utf8()..];
            continue;
        }
        if first == '#' {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        if let Some(after) = rest.strip_prefix("\\\n") {
            line += 1;
            joined += 1;
            rest = after;
            continue;
        }
        let start = line;
        let (token, quoted, after) = match first {
            '"' => quotes(&rest[1..]),
            '`' => {
                let inside = &rest[1..];
                let end = inside.find('`').unwrap_or(inside.len());
                let after = inside.get(end + 1..).unwrap_or("");
                (inside[..end].to_owned(), true, after)
            }
            _ => heredoc(rest).unwrap_or_else(|| word(rest)),
        };
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
        tokens.push(Token {
            line: start,
            row: start - joined,
            text: token,
            quoted,
        });
    }
    tokens
}

/// A word up to the next blank; a backslash takes the next sign as it is.
fn word(text: &str) -> (String, bool, &str) {
    let mut word = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        if sign.is_whitespace() {
            return (word, false, &text[at..]);
        }
        if sign == '\\' {
            match signs.clone().next() {
                Some((_, '\n')) => return (word, false, &text[at..]),
                Some((_, next @ ('"' | '{' | '}' | '<'))) => {
                    signs.next();
                    word.push(next);
                    continue;
                }
                _ => {}
            }
        }
        word.push(sign);
    }
    (word, false, "")
}

/// What stands between `"`, after the first.
fn quotes(text: &str) -> (String, bool, &str) {
    let mut word = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return (word, true, &text[at + 1..]),
            '\\' if text[at + 1..].starts_with('"') => {
                signs.next();
                word.push('"');
            }
            sign => word.push(sign),
        }
    }
    (word, true, "")
}

/// Lines between `<<NAME` and `NAME`.
fn heredoc(text: &str) -> Option<(String, bool, &str)> {
    let (name, after) = text.strip_prefix("<<")?.split_once('\n')?;
    let name = name.trim_end();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(plain) {
        return None;
    }
    let mut at = 0;
    for line in after.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if let Some(rest) = line[indent..].strip_prefix(name)
            && !rest.bytes().next().is_some_and(plain)
        {
            let end = at + indent + name.len();
            return Some((after[..at].to_owned(), true, &after[end..]));
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line a directive, blocks in brackets.
    fn shown(directives: &[Directive]) -> String {
        let one = |directive: &Directive| {
            let mut text = format!("{}:{}", directive.line, directive.words.join("|"));
            if let Some(block) = &directive.block {
                text = format!("{text}[{}]", shown(block));
            }
            text
        };
        let all: Vec<String> = directives.iter().map(one).collect();
        all.join(" ")
    }

    #[test]
    fn trees() {
        for (text, expected) in [
            ("", ""),
            ("# nothing\n", ""),
            ("a b c\nd", "1:a|b|c 2:d"),
            (
                "{\n\tadmin off\n}\na {\n b # c\n}\n",
                "1:[2:admin|off] 4:a[5:b]",
            ),
            ("a,\nb {\n}\n", "1:a,|b[]"),
            ("a { x\n}", "1:a[1:x]"),
            ("a \"b c\" \"d\\\"e\" `f\ng` h", "1:a|b c|d\"e|f\ng|h"),
            ("a \\\n b\nc", "1:a|b 3:c"),
            ("a <<END\n { x\n END\nb", "1:a| { x\n 4:b"),
            (
                "a {http.request.host}:80 \"{\" x",
                "1:a|{http.request.host}:80|{|x",
            ),
            ("a {\n b {\n c\n }\n}", "1:a[2:b[3:c]]"),
        ] {
            match parse(text) {
                Ok(directives) => assert_eq!(shown(&directives), expected, "{text}"),
                Err(error) => panic!("{text}: {error}"),
            }
        }
    }

    #[test]
    fn faults() {
        for (text, expected) in [
            ("a {\n b\n", "line 1: the block has no end"),
            ("a\n}\n", "line 2: a closing brace too many"),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        }
        let deep = parse(&"a {\n".repeat(1000)).unwrap_err();
        assert_eq!(deep, "line 34: nested deeper than 32");
    }
}
