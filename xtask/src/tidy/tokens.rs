//! A source file as the compiler's lexer sees it: what of it only a test build has, and which texts the rest holds.

use std::ops::Range;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// Begin what `;` or a block ends; anything else that has an attribute (a field, a value in a list) may end with a comma.
const ITEMS: [&str; 11] = ["const", "enum", "extern", "fn", "impl", "mod", "static", "struct", "trait", "type", "use"];

/// The text with everything that only a test build has blanked out, wherever it stands; each line keeps its number. What is not Rust is
/// left as it is: the compiler says so.
pub(super) fn without_tests(text: &str) -> String {
    let mut of_tests = Vec::new();
    if let Ok(tokens) = text.parse() {
        look_for_tests(tokens, &mut of_tests);
    }
    let is_of_tests = |at: usize| of_tests.iter().any(|range| range.contains(&at));
    text.char_indices().map(|(at, c)| if c != '\n' && is_of_tests(at) { ' ' } else { c }).collect()
}

/// The string literals outside of attributes, as written, but for lines that a `\` joins; and those of `#[error(…)]`. `quiet`: macros that
/// are not looked into.
pub(super) fn texts(code: &str, quiet: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(tokens) = code.parse() {
        look_for_texts(tokens, quiet, &mut found);
    }
    found
}

/// The modules that only a test build has and that are files of their own: `#[cfg(test)] mod tests;`.
pub(super) fn test_modules(text: &str) -> Vec<String> {
    let tokens: Vec<_> = text.parse::<TokenStream>().into_iter().flatten().collect();
    let tests = (0..tokens.len()).filter_map(|at| tokens.get(at..at + test_item(tokens.get(at..)?)?));
    let name = |item: &[TokenTree]| match item {
        [.., TokenTree::Ident(module), TokenTree::Ident(name), TokenTree::Punct(_)] if module == "mod" => Some(name.to_string()),
        _ => None,
    };
    tests.filter_map(name).collect()
}

fn look_for_tests(tokens: TokenStream, found: &mut Vec<Range<usize>>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut rest = tokens.as_slice();
    while let [first, ..] = rest {
        let length = test_item(rest);
        let (item, then) = rest.split_at(length.unwrap_or(1));
        match (length, item, first) {
            (Some(_), [first, .., last], _) => found.push(first.span().byte_range().start..last.span().byte_range().end),
            (_, _, TokenTree::Group(group)) => look_for_tests(group.stream(), found),
            _ => {}
        }
        rest = then;
    }
}

/// How many tokens the item has that begins here and has an attribute which leaves it to test builds.
fn test_item(tokens: &[TokenTree]) -> Option<usize> {
    let attributes = tokens.chunks_exact(2).map_while(attribute).collect::<Vec<_>>();
    if !attributes.first().is_some_and(is_cfg_test) {
        return None;
    }
    let item = tokens.get(attributes.len() * 2..)?;
    let is_item = item
        .iter()
        .take_while(|token| !is_end(token, true))
        .any(|token| matches!(token, TokenTree::Ident(word) if ITEMS.iter().any(|item| word == item)));
    let end = item.iter().position(|token| is_end(token, !is_item)).map_or(item.len(), |last| last + 1);
    Some(attributes.len() * 2 + end)
}

fn is_end(token: &TokenTree, at_comma: bool) -> bool {
    match token {
        TokenTree::Punct(sign) => sign.as_char() == ';' || (at_comma && sign.as_char() == ','),
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    }
}

/// What stands in the brackets of `#[…]`.
fn attribute(pair: &[TokenTree]) -> Option<TokenStream> {
    match pair {
        [TokenTree::Punct(sign), TokenTree::Group(group)] if sign.as_char() == '#' && group.delimiter() == Delimiter::Bracket => {
            Some(group.stream())
        }
        _ => None,
    }
}

fn is_cfg_test(attribute: &TokenStream) -> bool {
    match &attribute.clone().into_iter().collect::<Vec<_>>()[..] {
        [TokenTree::Ident(cfg), TokenTree::Group(of)] if cfg == "cfg" => needs_test(&of.stream().into_iter().collect::<Vec<_>>()),
        _ => false,
    }
}

/// `test`, or `all(…)` with it among its parts; not `any(…)`, which may be true without.
fn needs_test(predicate: &[TokenTree]) -> bool {
    match predicate {
        [TokenTree::Ident(word)] => word == "test",
        [TokenTree::Ident(all), TokenTree::Group(of)] if all == "all" => {
            let parts: Vec<_> = of.stream().into_iter().collect();
            parts.split(|token| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ',')).any(needs_test)
        }
        _ => false,
    }
}

fn look_for_texts(tokens: TokenStream, quiet: &[&str], found: &mut Vec<String>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut rest = tokens.as_slice();
    while let [first, then @ ..] = rest {
        rest = match (first, then) {
            // An attribute of what follows, or (`#!`) of what it stands in.
            (TokenTree::Punct(sign), [TokenTree::Group(group), after @ ..]) if sign.as_char() == '#' => {
                let inside: Vec<_> = group.stream().into_iter().collect();
                if let [TokenTree::Ident(error), TokenTree::Group(words)] = &inside[..]
                    && error == "error"
                {
                    look_for_texts(words.stream(), quiet, found);
                }
                after
            }
            (TokenTree::Punct(sign), [TokenTree::Punct(bang), TokenTree::Group(_), after @ ..])
                if sign.as_char() == '#' && bang.as_char() == '!' =>
            {
                after
            }
            (TokenTree::Ident(name), [TokenTree::Punct(bang), TokenTree::Group(_), after @ ..])
                if bang.as_char() == '!' && is_one_of(name, quiet) =>
            {
                after
            }
            (TokenTree::Group(group), after) => {
                look_for_texts(group.stream(), quiet, found);
                after
            }
            (TokenTree::Literal(literal), after) => {
                found.extend(string(&literal.to_string()));
                after
            }
            (_, after) => after,
        };
    }
}

fn is_one_of(name: &Ident, names: &[&str]) -> bool {
    names.iter().any(|one| name == one)
}

/// What stands in the quotes of a string literal, plain or raw; `None` for a literal of another kind.
fn string(literal: &str) -> Option<String> {
    let raw = literal.strip_prefix('r').map(|rest| rest.trim_matches('#'));
    let text = raw.unwrap_or(literal).strip_prefix('"')?.strip_suffix('"')?;
    // A `\` at the end of a line, and the spaces that begin the next one, are no part of the text.
    let mut joined = String::new();
    for line in text.split_inclusive('\n') {
        let goes_on = joined.ends_with('\n') && joined.trim_end_matches('\n').ends_with('\\') && raw.is_none();
        if goes_on {
            joined.truncate(joined.len() - 2);
            joined.push_str(line.trim_start_matches([' ', '\t']));
        } else {
            joined.push_str(line);
        }
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_test_build_has_is_blanked_out_and_what_follows_it_is_not() {
        let check = |text: &str, left: &str| {
            let found = without_tests(text);
            assert_eq!(found.lines().count(), text.lines().count(), "{text}");
            assert_eq!(found.split_whitespace().collect::<Vec<_>>().join(" "), left, "{text}");
        };
        check("#[cfg(test)]\nmod tests {\n    fn a() {}\n}\nfn b() {}", "fn b() {}");
        check("#[cfg(test)]\nmod tests;\nmod b;", "mod b;");
        check("#[cfg(test)]\n#[path = \"x\"]\nuse a::{\n    b,\n};\nfn c() {}", "; fn c() {}");
        check("#[cfg(all(test, unix))]\nfn a<T, U>(t: T, u: U) {}\nfn b() {}", "fn b() {}");
        check("struct A {\n    #[cfg(test)]\n    a: Vec<u8>,\n    b: u8,\n}", "struct A { b: u8, }");
        check("impl A {\n    #[cfg(test)]\n    fn a() {\n        \"}\"\n    }\n    fn b() {}\n}", "impl A { fn b() {} }");
        check("#[cfg(any(test, unix))]\nfn a() {}", "#[cfg(any(test, unix))] fn a() {}");
        check("#[cfg(not(test))]\nfn a() {}", "#[cfg(not(test))] fn a() {}");
        check("// #[cfg(test)]\nfn ä() { '\"'; }", "// #[cfg(test)] fn ä() { '\"'; }");
        check("fn a() { \"#[cfg(test)] mod b {}\" }", "fn a() { \"#[cfg(test)] mod b {}\" }");
        check("#[cfg(test)]\nmod a {", "#[cfg(test)] mod a {");
    }

    #[test]
    fn texts_are_found_in_code_in_macros_and_in_error_attributes_alone() {
        let check = |code: &str, expected: &[&str]| assert_eq!(texts(code, &["debug"]), expected, "{code}");
        check("/// of a\n#[doc = \"b\"]\n#[error(\"c {0}\")]\nstruct A;", &["c {0}"]);
        check("#![doc = \"a\"]\nfn b() { c(format_args!(\"d {e}\")) }", &["d {e}"]);
        check("fn a() { debug!(\"b\"); warn!(reason = \"c\", \"d\") }", &["c", "d"]);
        check("fn a() { \"b \\\n         c\\nd\"; 'e'; b\"f\"; 1 }", &["b c\\nd"]);
        check("fn a() { r#\"b \"c\" \\\"#; \"\" }", &["b \"c\" \\", ""]);
    }

    #[test]
    fn a_module_of_tests_in_a_file_of_its_own_is_named() {
        assert_eq!(test_modules("mod a;\n#[cfg(test)]\nmod b;\n#[cfg(test)]\nmod c {}\n#[cfg(test)]\nuse d;"), ["b"]);
    }
}
