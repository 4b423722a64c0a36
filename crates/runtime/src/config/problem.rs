//! What is wrong with the settings, in sentences.

use std::fmt;

use super::source::Source;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key, such as `server.listen`; the file or the variable when no key is concerned.
    pub key: String,
    /// Where the value came from.
    pub source: Source,
    /// The value; nothing when there is none, `***` for a secret.
    pub value: Option<String>,
    /// What is allowed, as a sentence fragment.
    pub allowed: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (from {})", self.key, self.source)?;
        if let Some(value) = &self.value {
            write!(f, " is {value}")?;
        }
        write!(f, ": {}", self.allowed)
    }
}

/// Everything that is wrong, in the order of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblems(pub Vec<ConfigProblem>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are not usable")?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}
