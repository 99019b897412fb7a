//! Reports: a verdict or findings, written for a person or a program.
