//! Licence expressions of SPDX.

/// Whether the licences for which `is_allowed` says so satisfy the expression. One with an exception
/// is asked for as a whole, such as `Apache-2.0 WITH LLVM-exception`.
///
/// `None` when it is no expression.
pub(super) fn satisfies(expression: &str, is_allowed: impl Fn(&str) -> bool) -> Option<bool> {
    // Cargo still takes the slash that older packages write instead of OR.
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    let satisfied = any(&mut words, &is_allowed)?;
    words.is_empty().then_some(satisfied)
}

/// Terms with OR between them; the next word is the last one of `words`.
fn any(words: &mut Vec<&str>, is_allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    let mut satisfied = all(words, is_allowed)?;
    while words.pop_if(|word| *word == "OR").is_some() {
        satisfied |= all(words, is_allowed)?;
    }
    Some(satisfied)
}

/// Terms with AND between them.
fn all(words: &mut Vec<&str>, is_allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    let mut satisfied = one(words, is_allowed)?;
    while words.pop_if(|word| *word == "AND").is_some() {
        satisfied &= one(words, is_allowed)?;
    }
    Some(satisfied)
}

/// A licence, or an expression in brackets.
fn one(words: &mut Vec<&str>, is_allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    let name = words.pop()?;
    if name == "(" {
        let satisfied = any(words, is_allowed)?;
        return (words.pop()? == ")").then_some(satisfied);
    }
    if [")", "OR", "AND", "WITH"].contains(&name) {
        return None;
    }
    if words.pop_if(|word| *word == "WITH").is_some() {
        let exception = words.pop()?;
        return Some(is_allowed(&format!("{name} WITH {exception}")));
    }
    Some(is_allowed(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_expressions() {
        let rows = [
            ("MIT", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("MIT OR GPL-3.0-only", Some(true)),
            ("GPL-3.0-only/MIT", Some(true)),
            ("Apache-2.0 / MIT", Some(true)),
            ("MIT AND GPL-3.0-only", Some(false)),
            ("(MIT OR GPL-3.0-only) AND ISC", Some(true)),
            ("(MIT OR ISC) AND GPL-3.0-only", Some(false)),
            // AND binds more closely.
            ("MIT OR ISC AND GPL-3.0-only", Some(true)),
            ("GPL-3.0-only AND ISC OR MIT", Some(true)),
            ("((MIT))", Some(true)),
            ("Apache-2.0 WITH LLVM-exception", Some(true)),
            ("MIT WITH LLVM-exception", Some(false)),
            ("MIT WITH LLVM-exception OR ISC", Some(true)),
            ("MIT ISC", None),
            ("MIT OR", None),
            ("OR MIT", None),
            ("(MIT", None),
            ("MIT)", None),
            ("MIT WITH", None),
            ("()", None),
            ("", None),
        ];
        let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
        for (expression, expected) in rows {
            let found = satisfies(expression, |name| allowed.contains(&name));
            assert_eq!(found, expected, "{expression}");
        }
    }
}
