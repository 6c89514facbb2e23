//! Figures as Prometheus reads them (text format 0.0.4).

use std::fmt::Write;

use super::family::{Family, Kind, Label, Labels, Unit, Value};

/// What the text is sent as.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Prometheus' name for a figure: by the rule of OpenTelemetry's specification ("Prometheus and OpenMetrics
/// Compatibility"), underscores for dots, then the unit, then `_total` after what only grows.
pub fn name_of(family: &Family) -> String {
    let unit = match family.unit {
        Unit::None => "",
        Unit::Seconds => "_seconds",
        Unit::Bytes => "_bytes",
        Unit::Ratio => "_ratio",
    };
    let total = if family.kind == Kind::Counter { "_total" } else { "" };
    format!("{}{unit}{total}", family.name.replace('.', "_"))
}

/// All of them. One without a sample is left out.
pub fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        write(&mut text, family).expect("a string takes whatever is written");
    }
    text
}

fn write(text: &mut String, family: &Family) -> std::fmt::Result {
    let (name, kind) = (
        name_of(family),
        match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        },
    );
    writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", family.help)?;
    for sample in &family.samples {
        let labels = pairs(&sample.labels);
        match &sample.value {
            Value::Number(number) => writeln!(text, "{name}{} {number}", braced(&labels))?,
            Value::Spread(spread) => {
                let comma = if labels.is_empty() { "" } else { "," };
                let mut below = 0;
                for (bound, bucket) in spread.bounds.iter().zip(&spread.buckets) {
                    below += bucket;
                    writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}")?;
                }
                let (count, labels_braced) = (spread.count(), braced(&labels));
                writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}")?;
                writeln!(
                    text,
                    "{name}_sum{labels_braced} {}\n{name}_count{labels_braced} {count}",
                    spread.sum
                )?;
            }
        }
    }
    Ok(())
}

fn pairs(labels: &Labels) -> String {
    let pair = |(name, value): &Label| format!("{}=\"{}\"", name.replace('.', "_"), escaped(value));
    labels.iter().map(pair).collect::<Vec<_>>().join(",")
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::meters::{COUNTS, Histogram};
    use crate::metrics::family::Figures;

    #[test]
    fn names_and_samples_are_prometheus_own() {
        let batch = Histogram::new(&COUNTS);
        batch.note(1);
        batch.note(3);
        batch.note(1000);
        let mut all = Figures::default();
        all.counter("process.cpu", Unit::Seconds, "Time on a processor.")
            .is(Duration::from_millis(1500).as_secs_f64());
        all.gauge("till.build.info", Unit::None, "What runs.").of([("version", "a\"\\\n".into())], true);
        all.histogram("till.writer.batch", Unit::None, "Acts.").spread(vec![("a.b", "c".into())], &batch);
        all.gauge("till.nothing", Unit::Ratio, "It was not measured.");
        assert_eq!(
            text(&all.0),
            "# HELP process_cpu_seconds_total Time on a processor.\n\
             # TYPE process_cpu_seconds_total counter\n\
             process_cpu_seconds_total 1.5\n\
             # HELP till_build_info What runs.\n\
             # TYPE till_build_info gauge\n\
             till_build_info{version=\"a\\\"\\\\\\n\"} 1\n\
             # HELP till_writer_batch Acts.\n\
             # TYPE till_writer_batch histogram\n\
             till_writer_batch_bucket{a_b=\"c\",le=\"1\"} 1\n\
             till_writer_batch_bucket{a_b=\"c\",le=\"2\"} 1\n\
             till_writer_batch_bucket{a_b=\"c\",le=\"4\"} 2\n\
             till_writer_batch_bucket{a_b=\"c\",le=\"8\"} 2\n\
             till_writer_batch_bucket{a_b=\"c\",le=\"16\"} 2\n\
             till_writer_batch_bucket{a_b=\"c\",le=\"32\"} 2\n\
             till_writer_batch_bucket{a_b=\"c\",le=\"64\"} 2\n\
             till_writer_batch_bucket{a_b=\"c\",le=\"128\"} 2\n\
             till_writer_batch_bucket{a_b=\"c\",le=\"256\"} 2\n\
             till_writer_batch_bucket{a_b=\"c\",le=\"+Inf\"} 3\n\
             till_writer_batch_sum{a_b=\"c\"} 1004\n\
             till_writer_batch_count{a_b=\"c\"} 3\n"
        );
    }
}
