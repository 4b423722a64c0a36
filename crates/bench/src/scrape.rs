//! The server's own metrics, read before and after.

use std::collections::BTreeMap;

use crate::target::BenchError;

/// Sums and counters of one server at one moment, by name; labels are added up.
#[derive(Debug, Clone, Default)]
pub struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Reads `/metrics`.
    pub(crate) async fn read(
        client: &reqwest::Client,
        base: &url::Url,
    ) -> Result<Self, BenchError> {
        let address = base.join("metrics").map_err(|_| BenchError::Address)?;
        let text = client.get(address).send().await?.error_for_status()?.text().await?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut values = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let name = name.split('{').next().unwrap_or(name);
            if let Ok(value) = value.parse::<f64>() {
                *values.entry(name.to_owned()).or_default() += value;
            }
        }
        Self(values)
    }

    /// Adds the values of another server.
    pub(crate) fn add(&mut self, other: Self) {
        for (name, value) in other.0 {
            *self.0.entry(name).or_default() += value;
        }
    }

    /// Returns by how much a counter has grown since `before`.
    pub(crate) fn growth(&self, before: &Self, name: &str) -> f64 {
        let value = |scrape: &Self| scrape.0.get(name).copied().unwrap_or_default();
        value(self) - value(before)
    }

    /// Returns the mean of what a histogram took up since `before`.
    pub(crate) fn mean(&self, before: &Self, name: &str) -> Option<f64> {
        let count = self.growth(before, &format!("{name}_count"));
        (count > 0.0).then(|| self.growth(before, &format!("{name}_sum")) / count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_name_are_added_up_and_means_are_of_what_is_new() {
        let before = Scrape::parse("# HELP x\nx_sum{a=\"1\"} 10\nx_count{a=\"1\"} 10\n");
        let after = Scrape::parse("x_sum{a=\"1\"} 30\nx_sum{a=\"2\"} 10\nx_count{a=\"1\"} 20\n");
        assert_eq!(after.mean(&before, "x"), Some(3.0));
        assert_eq!(after.mean(&before, "y"), None);
    }
}
