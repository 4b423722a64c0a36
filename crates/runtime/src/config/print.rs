//! Shows the settings as a settings file, with the origin of each value and without secrets.

use super::Config;
use super::section::Section;
use super::source::Origins;

impl Config {
    /// Returns TOML that holds every value, with a comment that says where it came from.
    ///
    /// Secrets are `***`. A key that is not set is a comment.
    pub fn print(&self, origins: &Origins) -> String {
        let mut lines = Vec::new();
        for section in self.sections() {
            lines.extend(print_section(section, origins));
        }
        lines.join("\n") + "\n"
    }
}

fn print_section(section: &dyn Section, origins: &Origins) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, key) in section.keys().iter().enumerate() {
        if index == 0 {
            lines.push(format!("[{}]", key.section));
        }
        let origin = origins.of(&key.path());
        lines.push(match section.show(key.name) {
            Some(value) => format!("{} = {value} # {origin}", key.name),
            None => format!("# {} is not set", key.name),
        });
    }
    lines.push(String::new());
    lines
}
