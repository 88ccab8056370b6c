//! Words of nginx's configuration language.

/// A word, or what stands between words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word, without its quotes and escapes.
    Word(String),
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// Cuts a text into tokens.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            rest: text.as_bytes(),
            line: 1,
        }
    }

    /// The line of what was read last, counted from 1.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The next token; `None` at the end.
    ///
    /// Errors: what is wrong, at [`Self::line`].
    pub(super) fn token(&mut self) -> Result<Option<Token>, &'static str> {
        loop {
            match self.rest.first() {
                None => return Ok(None),
                Some(b'#') => while self.bump().is_some_and(|byte| byte != b'\n') {},
                Some(byte) if is_space(*byte) => {
                    self.bump();
                }
                Some(_) => break,
            }
        }
        let token = match self.rest[0] {
            b';' => Token::Semicolon,
            b'{' => Token::Open,
            b'}' => Token::Close,
            quote @ (b'"' | b'\'') => {
                self.bump();
                return self.quoted(quote).map(Some);
            }
            _ => return Ok(Some(self.word())),
        };
        self.bump();
        Ok(Some(token))
    }

    /// Skips the code of a Lua block whose `{` has been read, and its `}`.
    ///
    /// Errors: the block has no end.
    pub(super) fn skip_lua(&mut self) -> Result<(), &'static str> {
        let mut depth = 1usize;
        while depth > 0 {
            match self.bump().ok_or("the Lua block has no end")? {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                quote @ (b'"' | b'\'') => self.skip_lua_string(quote),
                b'[' => {
                    if let Some(level) = self.long_bracket() {
                        self.skip_long_bracket(level);
                    }
                }
                b'-' if self.rest.first() == Some(&b'-') => {
                    self.bump();
                    let level = match self.rest.first() {
                        Some(b'[') => {
                            self.bump();
                            self.long_bracket()
                        }
                        _ => None,
                    };
                    match level {
                        Some(level) => self.skip_long_bracket(level),
                        None => while self.bump().is_some_and(|byte| byte != b'\n') {},
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A string of one line, behind its quote.
    fn skip_lua_string(&mut self, quote: u8) {
        while let Some(byte) = self.bump() {
            if byte == b'\\' {
                self.bump();
            } else if byte == quote || byte == b'\n' {
                return;
            }
        }
    }

    /// Behind `[`: takes the rest of an opening `[[`, `[=[`, …; the number of `=`.
    fn long_bracket(&mut self) -> Option<usize> {
        let level = self.rest.iter().take_while(|byte| **byte == b'=').count();
        (self.rest.get(level) == Some(&b'[')).then(|| {
            self.rest = &self.rest[level + 1..];
            level
        })
    }

    fn skip_long_bracket(&mut self, level: usize) {
        let mut seen = None;
        while let Some(byte) = self.bump() {
            seen = match (byte, seen) {
                (b']', Some(signs)) if signs == level => return,
                (b']', _) => Some(0),
                (b'=', Some(signs)) => Some(signs + 1),
                _ => None,
            };
        }
    }

    fn word(&mut self) -> Token {
        let mut word = Vec::new();
        while let Some(&byte) = self.rest.first() {
            match byte {
                // A variable in braces opens no block.
                b'$' if self.rest.get(1) == Some(&b'{') => {
                    word.extend_from_slice(b"${");
                    self.bump();
                }
                b'\\' => {
                    self.bump();
                    self.escape(&mut word);
                    continue;
                }
                b';' | b'{' => break,
                _ if is_space(byte) => break,
                _ => word.push(byte),
            }
            self.bump();
        }
        Token::Word(text(word))
    }

    fn quoted(&mut self, quote: u8) -> Result<Token, &'static str> {
        let mut word = Vec::new();
        loop {
            match self.bump().ok_or("a quote has no end")? {
                byte if byte == quote => break,
                b'\\' => self.escape(&mut word),
                byte => word.push(byte),
            }
        }
        match self.rest.first() {
            None | Some(b';' | b'{' | b')') => {}
            Some(byte) if is_space(*byte) => {}
            Some(_) => return Err("a blank is missing behind a quote"),
        }
        Ok(Token::Word(text(word)))
    }

    /// What stands behind a backslash.
    fn escape(&mut self, word: &mut Vec<u8>) {
        match self.bump() {
            Some(byte @ (b'"' | b'\'' | b'\\')) => word.push(byte),
            Some(b't') => word.push(b'\t'),
            Some(b'r') => word.push(b'\r'),
            Some(b'n') => word.push(b'\n'),
            Some(byte) => word.extend([b'\\', byte]),
            None => word.push(b'\\'),
        }
    }

    fn bump(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Only ASCII is ever taken away, so the rest is still UTF-8.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, String> {
        let mut lexer = Lexer::new(text);
        let mut words = Vec::new();
        loop {
            match lexer.token() {
                Ok(None) => return Ok(words),
                Ok(Some(Token::Word(word))) => words.push(word),
                Ok(Some(Token::Semicolon)) => words.push("<;>".to_owned()),
                Ok(Some(Token::Open)) => words.push("<{>".to_owned()),
                Ok(Some(Token::Close)) => words.push("<}>".to_owned()),
                Err(reason) => return Err(format!("{}: {reason}", lexer.line())),
            }
        }
    }

    #[test]
    fn quotes_escapes_comments_and_braces() {
        for (text, expected) in [
            ("a b;", &["a", "b", "<;>"][..]),
            ("a b;#c d\ne", &["a", "b", "<;>", "e"]),
            ("a b#c;", &["a", "b#c", "<;>"]),
            ("a{b}", &["a", "<{>", "b}"]),
            ("a { b; }", &["a", "<{>", "b", "<;>", "<}>"]),
            ("a ${b}c;", &["a", "${b}c", "<;>"]),
            ("a b$c{", &["a", "b$c", "<{>"]),
            (
                r#"a "b; {c} #d" 'e "f"';"#,
                &["a", "b; {c} #d", "e \"f\"", "<;>"],
            ),
            (r#"a "b\"c\\d\$e\n";"#, &["a", "b\"c\\d\\$e\n", "<;>"]),
            (r"a b\;c\ d\.e;", &["a", "b\\;c\\ d\\.e", "<;>"]),
            ("if ($a ~ \"b\") {", &["if", "($a", "~", "b", ")", "<{>"]),
            ("a 'größe';", &["a", "größe", "<;>"]),
            ("\u{feff}a;", &["a", "<;>"]),
            ("a \"\";", &["a", "", "<;>"]),
            ("a\\", &["a\\"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        for (text, expected) in [
            ("a;\n\"b", "2: a quote has no end"),
            ("\"a\"b;", "1: a blank is missing behind a quote"),
        ] {
            assert_eq!(words(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn lua_ends_where_lua_says() {
        for text in [
            "}",
            " local t = { a = {} } }",
            " -- a comment with }\n }",
            " --[[ a long one }\n }]] }",
            " --[==[ ]] }]=] ]==] }",
            " local s = '}' .. \"}\\\"}\" }",
            " local s = [[ } ]] .. [=[ ]] } ]=] }",
            " local x = t[1][t[2]] }",
            " local y = a - b -- }\n }",
        ] {
            let text = format!("{text}next");
            let mut lexer = Lexer::new(&text);
            lexer.skip_lua().unwrap();
            assert_eq!(
                lexer.token().unwrap(),
                Some(Token::Word("next".to_owned())),
                "{text}"
            );
        }
        for text in ["", " { }", " '}", " [[ }", " -- }"] {
            assert!(Lexer::new(text).skip_lua().is_err(), "{text}");
        }
    }
}
