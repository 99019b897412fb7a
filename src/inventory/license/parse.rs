//! Licence texts that have operators.

use crate::model::license::{Operator, Piece, Term};

use super::dialect::{Comma, Dialect};
use super::names;

/// Names of one text: 500; the longest of distributions has a hundred.
pub(super) const MAX_NAMES: usize = 500;

/// Parentheses inside each other: 32. Attack: a megabyte of them.
const MAX_DEPTH: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Comma,
    /// An operator; one after a comma binds less.
    Operator {
        operator: Operator,
        weak: bool,
    },
    With,
    Name(String),
}

/// Part of an expression.
enum Node {
    Known(String),
    Words(String),
    Several(Operator, Vec<Self>),
}

/// The terms of a text: one, or the entries of a list. None where it is no expression by the dialect's rules, or
/// where the dialect has no rules and part of it is not understood.
pub(super) fn terms(text: &str, dialect: &Dialect) -> Option<Vec<Term>> {
    // SPDX says which of `AND` and `OR` binds more (2.3, D.4.5), and so must whoever writes small letters.
    let mut lower = false;
    let tokens = tokens(text, dialect, &mut lower)?;
    if !tokens.iter().any(|token| !matches!(token, Token::Name(_))) {
        return None;
    }
    let entries: Vec<&[Token]> = tokens.split(|token| *token == Token::Comma).collect();
    let terms: Option<Vec<Term>> = entries
        .into_iter()
        .map(|tokens| {
            let mut parser = Parser { tokens, dialect, mixes: dialect.mixes || !lower };
            let node = parser.all(0, true)?;
            parser.tokens.is_empty().then(|| term(&node))
        })
        .collect();
    let terms = terms?;
    let is_understood = terms.iter().all(|term| term.expression().is_some());
    (dialect.formal || is_understood).then_some(terms)
}

/// None where there are too many, or where a comma is where none may be.
/// `lower` becomes true where an operator has small letters.
fn tokens(text: &str, dialect: &Dialect, lower: &mut bool) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut names = 0_usize;
    let mut weak = false;
    let is_url = text.contains("://");
    let divides = |c: char| {
        c.is_whitespace()
            || matches!(c, '(' | ')')
            || c == ',' && dialect.comma != Comma::Name
            || c == '/' && dialect.slash && !is_url
    };
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = if divides(first) { first.len_utf8() } else { rest.find(divides).unwrap_or(rest.len()) };
        let (word, after) = rest.split_at_checked(end)?;
        rest = after.trim_start();
        let operator = match word.to_ascii_lowercase().as_str() {
            // `GPL-2 or later` is one name.
            "or" if goes_on_later(rest) => None,
            "or" => Some(Operator::Or),
            "/" if dialect.slash => Some(Operator::Or),
            "and" => Some(Operator::And),
            _ => None,
        };
        *lower |= operator.is_some() && word.chars().any(char::is_lowercase);
        if weak && operator.is_none() {
            return None;
        }
        match (word, operator) {
            (_, Some(operator)) => tokens.push(Token::Operator { operator, weak: std::mem::take(&mut weak) }),
            ("(", _) => tokens.push(Token::Open),
            (")", _) => tokens.push(Token::Close),
            (",", _) if dialect.comma == Comma::Weakens => weak = true,
            (",", _) if dialect.comma == Comma::List => tokens.push(Token::Comma),
            (word, _) if word.eq_ignore_ascii_case("with") => tokens.push(Token::With),
            (word, None) => {
                if let Some(Token::Name(name)) = tokens.last_mut() {
                    name.push(' ');
                    name.push_str(word);
                } else {
                    names = names.saturating_add(1);
                    tokens.push(Token::Name(word.to_owned()));
                }
            }
        }
    }
    (!weak && names <= MAX_NAMES).then_some(tokens)
}

fn goes_on_later(rest: &str) -> bool {
    let next = rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    ["later", "newer"].iter().any(|word| next.eq_ignore_ascii_case(word))
}

struct Parser<'t, 'd> {
    tokens: &'t [Token],
    dialect: &'d Dialect,
    mixes: bool,
}

impl Parser<'_, '_> {
    fn next_operator(&mut self, weak: bool) -> Option<Operator> {
        match self.tokens.split_first() {
            Some((Token::Operator { operator, weak: is_weak }, rest)) if *is_weak == weak => {
                self.tokens = rest;
                Some(*operator)
            }
            _ => None,
        }
    }

    /// Operators after commas bind least: `A or B, and C`. Two kinds of them are no expression.
    fn all(&mut self, depth: usize, weak: bool) -> Option<Node> {
        if !weak {
            return self.operators(depth);
        }
        let mut parts = vec![self.operators(depth)?];
        let mut joined = None;
        while let Some(operator) = self.next_operator(true) {
            if joined.is_some_and(|joined| joined != operator) {
                return None;
            }
            joined = Some(operator);
            parts.push(self.operators(depth)?);
        }
        Some(several(joined, parts))
    }

    /// `AND` binds more than `OR`.
    fn operators(&mut self, depth: usize) -> Option<Node> {
        let mut choices = Vec::new();
        let mut parts = vec![self.one(depth)?];
        let mut kinds = [false; 2];
        while let Some(operator) = self.next_operator(false) {
            if let Some(kind) = kinds.get_mut(usize::from(operator == Operator::Or)) {
                *kind = true;
            }
            if operator == Operator::Or {
                choices.push(several(Some(Operator::And), std::mem::take(&mut parts)));
            }
            parts.push(self.one(depth)?);
        }
        // `A or B and C` means one thing to one author and another to the next.
        if kinds == [true; 2] && !self.mixes {
            return None;
        }
        choices.push(several(Some(Operator::And), parts));
        Some(several(Some(Operator::Or), choices))
    }

    /// A name, with its exception where it has one, or parentheses.
    fn one(&mut self, depth: usize) -> Option<Node> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        match first {
            Token::Open if depth < MAX_DEPTH => {
                let inner = self.all(depth + 1, true)?;
                let (Token::Close, rest) = self.tokens.split_first()? else { return None };
                self.tokens = rest;
                Some(inner)
            }
            Token::Name(name) => match self.tokens {
                [Token::With, Token::Name(exception), rest @ ..] => {
                    self.tokens = rest;
                    Some(
                        names::with(name, exception, self.dialect)
                            .map_or_else(|| Node::Words(format!("{name} with {exception}")), Node::Known),
                    )
                }
                _ => self.name(name),
            },
            Token::Open | Token::Close | Token::Comma | Token::Operator { .. } | Token::With => None,
        }
    }

    fn name(&self, name: &str) -> Option<Node> {
        if let Some(known) = names::name(name, self.dialect) {
            return Some(Node::Known(known));
        }
        // `GPL-2 or any later version`, `BSD and/or MIT`, `LGPL or above`: the operator is none.
        let first = name.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let is_rest =
            ["later", "newer", "any", "above", "higher", "greater", "others"].contains(&first.as_str());
        (!is_rest && !name.to_ascii_lowercase().contains("and/or")).then(|| Node::Words(name.to_owned()))
    }
}

/// Several parts as one; one alone is itself, and parts with the same operator are no parentheses.
fn several(operator: Option<Operator>, mut parts: Vec<Node>) -> Node {
    let (Some(operator), true) = (operator, parts.len() > 1) else {
        return parts.pop().unwrap_or_else(|| Node::Words(String::new()));
    };
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Node::Several(inner, parts) if inner == operator => flat.extend(parts),
            Node::Known(_) | Node::Words(_) | Node::Several(..) => flat.push(part),
        }
    }
    Node::Several(operator, flat)
}

fn term(node: &Node) -> Term {
    let mut pieces = Vec::new();
    write(node, &mut pieces);
    let operator = match node {
        Node::Several(operator, _) => Some(*operator),
        Node::Known(_) | Node::Words(_) => None,
    };
    Term::new(pieces, operator)
}

/// No deeper than [`MAX_DEPTH`].
fn write(node: &Node, pieces: &mut Vec<Piece>) {
    match node {
        Node::Known(text) => spdx(text, pieces),
        Node::Words(text) => pieces.push(Piece::Words(text.clone())),
        Node::Several(operator, parts) => {
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    spdx(operator.text(), pieces);
                }
                // What is inside has another operator.
                let is_inside = matches!(part, Node::Several(..));
                if is_inside {
                    spdx("(", pieces);
                }
                write(part, pieces);
                if is_inside {
                    spdx(")", pieces);
                }
            }
        }
    }
}

fn spdx(text: &str, pieces: &mut Vec<Piece>) {
    match pieces.last_mut() {
        Some(Piece::Spdx(last)) => last.push_str(text),
        Some(Piece::Words(_)) | None => pieces.push(Piece::Spdx(text.to_owned())),
    }
}
