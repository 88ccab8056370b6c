//! Conditions of `.if` and `.elif` (manual, "Conditional blocks").

use super::words::Variables;

/// Deepest nesting of parentheses and negations.
const MOST_DEPTH: usize = 32;

/// Whether `text` holds; `None` where it asks for what only the program itself knows.
pub(super) fn holds(text: &str, variables: &Variables) -> Option<bool> {
    let mut reader = Reader {
        rest: text,
        variables,
    };
    let value = reader.either(0)?;
    reader.rest.trim().is_empty().then_some(value)?
}

struct Reader<'a> {
    rest: &'a str,
    variables: &'a Variables,
}

/// True, false, or not known; the outer `None` of its functions is text that is no condition.
type Known = Option<bool>;

impl Reader<'_> {
    fn either(&mut self, depth: usize) -> Option<Known> {
        let mut value = self.both(depth)?;
        while self.take("||") {
            let next = self.both(depth)?;
            value = match (value, next) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
        }
        Some(value)
    }

    fn both(&mut self, depth: usize) -> Option<Known> {
        let mut value = self.one(depth)?;
        while self.take("&&") {
            let next = self.one(depth)?;
            value = match (value, next) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
        }
        Some(value)
    }

    fn one(&mut self, depth: usize) -> Option<Known> {
        if depth > MOST_DEPTH {
            return None;
        }
        if self.take("!") {
            return Some(self.one(depth + 1)?.map(|value| !value));
        }
        if self.take("(") {
            let value = self.either(depth + 1)?;
            return self.take(")").then_some(value);
        }
        let text = self.rest.trim_start();
        let is_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
        let end = text.find(|sign| !is_name(sign)).unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        self.rest = after;
        if let Ok(number) = name.parse::<i64>() {
            return Some(Some(number != 0));
        }
        let arguments = match self.rest.strip_prefix('(') {
            Some(inside) => {
                let (inside, after) = inside.split_once(')')?;
                self.rest = after;
                inside
            }
            None => "",
        };
        let equal = || {
            let (one, other) = arguments.split_once(',')?;
            Some(one == other)
        };
        match name {
            "true" => Some(Some(true)),
            "false" => Some(Some(false)),
            "defined" => Some(Some(self.variables.get(arguments.trim()).is_some())),
            "streq" => Some(Some(equal()?)),
            "strneq" => Some(Some(!equal()?)),
            "" => None,
            _ => Some(None),
        }
    }

    fn take(&mut self, sign: &str) -> bool {
        let after = self.rest.trim_start().strip_prefix(sign);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_told() {
        let variables = Variables::new(["A=1"]);
        for (text, expected) in [
            ("true", Some(true)),
            ("0", Some(false)),
            ("12", Some(true)),
            ("defined(A)", Some(true)),
            ("!defined(A)", Some(false)),
            ("defined(B) || streq(yes,yes)", Some(true)),
            ("(1 && 0) || !(1 && strneq(a,b))", Some(false)),
            ("feature(OPENSSL)", None),
            ("feature(OPENSSL) && 0", Some(false)),
            ("version_atleast(2.4) || 1", Some(true)),
            ("1 1", None),
            ("(1", None),
            ("", None),
            ("streq(a)", None),
        ] {
            assert_eq!(holds(text, &variables), expected, "{text}");
        }
        assert_eq!(holds(&"!".repeat(100_000), &variables), None);
        assert_eq!(holds(&"(".repeat(100_000), &variables), None);
    }
}
