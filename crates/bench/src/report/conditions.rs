//! Where and how something was measured.
//!
//! What a system does not tell is absent. The machine's name and addresses are never part of it.

use std::{fs, thread};

use serde::{Deserialize, Serialize};

use super::{command, number};

/// What the machine cannot know about a run.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// Version of the program that measures.
    pub version: String,
    /// How it was built, such as `release`.
    pub profile: String,
    /// Its arguments with its own name; secrets are taken out here.
    pub arguments: Vec<String>,
    /// When the run began, as RFC 3339.
    pub date: String,
}

/// Where and how something was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Version of Parlor.
    pub version: String,
    /// How it was built. Figures of `debug` say nothing about what is shipped.
    pub profile: String,
    /// The command without secrets.
    pub command: String,
    /// When the run began, as RFC 3339.
    pub date: String,
    /// The operating system.
    pub os: Option<String>,
    /// Version of its kernel.
    pub kernel: Option<String>,
    /// The processor's architecture.
    pub architecture: String,
    /// The processor's model.
    pub cpu: Option<String>,
    /// Cores of the machine.
    pub cores: Option<u64>,
    /// Cores that the generator may run on.
    pub cores_allowed: Option<u64>,
    /// Memory of the machine in bytes.
    pub memory: Option<u64>,
    /// Load average of 1, 5 and 15 minutes when the run began.
    pub load_average: Option<[f64; 3]>,
}

impl Conditions {
    /// Looks at this machine. To be called before the load begins.
    pub fn here(circumstances: Circumstances) -> Self {
        let Circumstances { version, profile, arguments, date } = circumstances;
        let read = |path: &str| fs::read_to_string(path).ok();
        let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
        Self {
            version,
            profile,
            command: command::shown(arguments),
            date,
            os: read("/etc/os-release")
                .and_then(|text| os_name(&text))
                .or_else(|| Some(std::env::consts::OS.to_owned())),
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            architecture: std::env::consts::ARCH.to_owned(),
            cpu: cpu_model(&cpuinfo),
            cores: cores(&cpuinfo),
            cores_allowed: thread::available_parallelism().ok().map(|cores| cores.get() as u64),
            memory: read("/proc/meminfo").and_then(|text| memory(&text)),
            load_average: read("/proc/loadavg").and_then(|text| load_average(&text)),
        }
    }

    /// Returns what is the same for all runs of a build on a machine, as names and values.
    pub(super) fn of_machine(&self) -> Vec<(&'static str, String)> {
        // Nobody should compare such figures by mistake.
        let warning = if self.profile == "debug" { ", whose figures say nothing" } else { "" };
        let parlor = format!("{}, {} build{warning}", self.version, self.profile);
        let memory = self.memory.map(|bytes| number::bytes(crate::measurement::as_float(bytes)));
        named([
            ("Parlor", Some(parlor)),
            ("system", self.system()),
            ("processor", self.processor()),
            ("memory", memory),
        ])
    }

    /// Returns what each run has of its own, as names and values.
    pub(super) fn of_run(&self) -> Vec<(&'static str, String)> {
        named([
            ("date", Some(self.date.clone())),
            ("command", Some(self.command.clone())),
            ("load average", self.load_average.map(|load| load.map(number::figure).join(", "))),
        ])
    }

    fn system(&self) -> Option<String> {
        let os = self.os.as_ref()?;
        Some(match &self.kernel {
            Some(kernel) => format!("{os}, kernel {kernel}, {}", self.architecture),
            None => format!("{os}, {}", self.architecture),
        })
    }

    fn processor(&self) -> Option<String> {
        let cores = self.cores.or(self.cores_allowed)?;
        let model = self.cpu.as_deref().unwrap_or("model unknown");
        let allowed = self.cores_allowed.filter(|&allowed| allowed != cores);
        let pinned = allowed.map(|allowed| format!(", generator on {allowed}"));
        let plural = if cores == 1 { "core" } else { "cores" };
        Some(format!("{model}, {cores} {plural}{}", pinned.unwrap_or_default()))
    }

    /// Returns whether figures of both can be put side by side: the same machine, the same build.
    pub(super) fn is_comparable(&self, other: &Self) -> bool {
        let machine =
            |it: &Self| (it.os.clone(), it.kernel.clone(), it.cpu.clone(), it.cores, it.memory);
        machine(self) == machine(other) && self.profile == other.profile
    }
}

/// Leaves out what is not known.
fn named<const N: usize>(rows: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// See `os-release(5)`.
fn os_name(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let (_, model) =
        cpuinfo.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(model.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn cores(cpuinfo: &str) -> Option<u64> {
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count() as u64;
    (cores > 0).then_some(cores)
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

fn load_average(text: &str) -> Option<[f64; 3]> {
    let mut loads = text.split_whitespace().map(|load| load.parse().ok());
    Some([loads.next()??, loads.next()??, loads.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_is_read_from_what_the_kernel_tells() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A  CPU @ 3 GHz\n\nprocessor\t: 1\n";
        assert_eq!(cpu_model(cpuinfo).as_deref(), Some("A CPU @ 3 GHz"));
        assert_eq!(cores(cpuinfo), Some(2));
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:   2048 kB\n"), Some(2_097_152));
        assert_eq!(load_average("0.50 1.25 2.00 1/99 7"), Some([0.5, 1.25, 2.0]));
        assert_eq!(os_name("ID=x\nPRETTY_NAME=\"X 12\"\n").as_deref(), Some("X 12"));
    }

    #[test]
    fn what_is_not_told_is_absent() {
        assert_eq!(cpu_model("Features: fp"), None);
        assert_eq!(
            (cores(""), memory("MemTotal: many"), load_average("0.5 1")),
            (None, None, None)
        );
        let bare = Conditions { os: Some("plan9".to_owned()), ..Conditions::default() };
        let rows = [bare.of_machine(), bare.of_run()].concat();
        let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["Parlor", "system", "date", "command"]);
    }

    #[test]
    fn conditions_of_here_name_no_secret_and_no_host() {
        let conditions = Conditions::here(Circumstances {
            version: "1.2.3".to_owned(),
            profile: "release".to_owned(),
            arguments: ["parlor", "--token", "hunter2"].map(str::to_owned).to_vec(),
            date: "2026-01-01T00:00:00Z".to_owned(),
        });
        assert_eq!(conditions.command, "parlor --token ***");
        assert!(conditions.cores_allowed.is_some());
        assert!(conditions.is_comparable(&conditions));
        let other = Conditions { kernel: Some("other".to_owned()), ..conditions.clone() };
        assert!(!conditions.is_comparable(&other));
    }
}
