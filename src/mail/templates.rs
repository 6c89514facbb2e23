//! The mails' words and looks. They are compiled in; a file of the same name in the shop's own directory takes the place
//! of a built-in one, as long as it can be used.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, context};

macro_rules! built_in {
    ($($name:literal)+) => {
        /// All templates there are: names and what they say.
        pub const BUILT_IN: &[(&str, &str)] = &[$(($name, include_str!(concat!("templates/", $name)))),+];
    };
}
built_in! {
    "layout.html" "order.html" "order.txt" "footer.txt"
    "order_received.txt" "order_received.html" "order_paid.txt" "order_paid.html"
    "payment_failed.txt" "payment_failed.html" "order_shipped.txt" "order_shipped.html"
    "order_cancelled.txt" "order_cancelled.html" "order_refunded.txt" "order_refunded.html"
    "password_reset.txt" "password_reset.html" "verify_address.txt" "verify_address.html"
    "back_in_stock.txt" "back_in_stock.html" "low_stock.txt" "low_stock.html"
    "refund_failed.txt" "refund_failed.html" "stray_money.txt" "stray_money.html"
    "dispute.txt" "dispute.html" "wrong_amount.txt" "wrong_amount.html"
    "backup_failed.txt" "backup_failed.html" "trial.txt" "trial.html"
}

/// Most bytes of a template of the shop's own.
const LARGEST: u64 = 256 << 10;
/// Most characters of a subject.
const SUBJECT: usize = 200;

/// A mail's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// The templates that a shop uses.
pub struct Templates {
    built_in: Environment<'static>,
    /// With the shop's own in the place of built-in ones.
    own: Option<Environment<'static>>,
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    // A name that is not there is a fault of the template, and no gap in the mail.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters"));
    environment
}

impl Templates {
    pub fn built_in() -> Templates {
        let mut built_in = environment();
        for (name, source) in BUILT_IN {
            built_in.add_template(name, source).expect("the built-in templates are good");
        }
        Templates { built_in, own: None }
    }

    /// The built-in templates, and those in `dir` in their place. Those that can't be used are told, and left out.
    pub fn with(dir: &Path) -> (Templates, Vec<String>) {
        let mut templates = Templates::built_in();
        let (found, mut faults) = read(dir);
        let mut own = templates.built_in.clone();
        let mut kept = Vec::new();
        for (name, source) in found {
            match own.add_template_owned(name.clone(), source) {
                Ok(()) => kept.push(name),
                Err(error) => faults.push(explain(&name, &error)),
            }
        }
        // What is read well may still ask for what is not there: each mail is made once from an example.
        for (kind, example) in super::facts::examples() {
            if let Err(error) = render(&own, kind, &example) {
                let said = explain(kind, &error);
                if !faults.contains(&said) {
                    faults.push(said);
                }
            }
        }
        if !kept.is_empty() {
            templates.own = Some(own);
        }
        (templates, faults)
    }

    /// Makes a mail of a kind. Where the shop's own template fails, the log says so and the built-in one is used.
    pub fn render(&self, kind: &str, facts: &Value) -> Rendered {
        if let Some(own) = &self.own {
            match render(own, kind, facts) {
                Ok(rendered) => return rendered,
                Err(error) => {
                    let said = explain(kind, &error);
                    tracing::error!(
                        said,
                        "a mail template of the shop's own can't be used; the built-in one is"
                    );
                }
            }
        }
        render(&self.built_in, kind, facts).expect("the built-in templates take what mails are made of")
    }
}

fn render(environment: &Environment<'_>, kind: &str, facts: &Value) -> Result<Rendered, Error> {
    let text = environment.get_template(&format!("{kind}.txt"))?.render(facts)?;
    let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
    let subject = subject.strip_prefix("Subject:").ok_or_else(|| {
        let said = format!("the first line of {kind}.txt must begin with Subject:");
        Error::new(ErrorKind::InvalidOperation, said)
    })?;
    // One line, whatever stands in what it is made of.
    let words = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    let subject: String = words.chars().take(SUBJECT).collect();
    let whole = context! { subject => &subject, ..facts };
    let html = environment.get_template(&format!("{kind}.html"))?.render(whole)?;
    Ok(Rendered { subject, text: format!("{}\n", text.trim()), html })
}

/// What is wrong with a template, and where.
fn explain(name: &str, error: &Error) -> String {
    let mut said = match (error.name(), error.line()) {
        (Some(name), Some(line)) => format!("{name}:{line}: {}", error.kind()),
        _ => format!("{name}: {}", error.kind()),
    };
    if let Some(detail) = error.detail() {
        let _ = write!(said, ": {detail}");
    }
    said
}

/// The files of a directory that are templates, and what is wrong with the others.
fn read(dir: &Path) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut found, mut faults) = (BTreeMap::new(), Vec::new());
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => return (found, vec![format!("{}: {error}", dir.display())]),
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ending = Path::new(&name).extension().and_then(|ending| ending.to_str());
        if !matches!(ending, Some("txt" | "html")) {
            continue;
        }
        if !BUILT_IN.iter().any(|(built_in, _)| *built_in == name) {
            faults.push(format!("{name}: there is no mail of this name"));
            continue;
        }
        let is_large = entry.metadata().is_ok_and(|data| data.len() > LARGEST);
        match std::fs::read_to_string(entry.path()) {
            _ if is_large => faults.push(format!("{name}: is larger than {LARGEST} bytes")),
            Ok(source) => {
                found.insert(name, source);
            }
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    faults.sort();
    (found, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_mail_has_its_templates() {
        let templates = Templates::built_in();
        let mut kinds: Vec<_> = BUILT_IN.iter().filter_map(|(name, _)| name.strip_suffix(".txt")).collect();
        kinds.retain(|kind| !["order", "footer"].contains(kind));
        let examples = super::super::facts::examples();
        for (kind, example) in &examples {
            let made = templates.render(kind, example);
            assert!(!made.subject.is_empty() && made.text.len() > 40, "{kind}: {made:?}");
            assert!(made.html.contains("</html>") && made.html.contains("Ann&#x27;s &lt;Teas&gt;"), "{kind}");
            assert!(!made.html.contains("<Teas>"), "{kind}: {}", made.html);
            assert!(!made.text.contains("\n\n\n"), "{kind}: {}", made.text);
        }
        let shown: Vec<_> = examples.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(shown, kinds);
    }

    #[test]
    fn a_broken_template_of_the_shops_own_is_told_and_not_used() {
        let dir = tempfile::tempdir().expect("a directory");
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
        put("trial.txt", "Subject: Hi from {{ shop.name }}\nWe can write.");
        put("password_reset.txt", "Subject: {% if %}");
        put("order_paid.txt", "Subject: Paid\n{{ order.nonsense }}");
        put("low_stock.txt", "Low");
        put("novel.txt", "Subject: ?");
        put("README", "no template");
        let (templates, faults) = Templates::with(dir.path());
        let files: Vec<_> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        assert_eq!(files, ["novel.txt", "password_reset.txt", "order_paid.txt", "low_stock"], "{faults:?}");
        let facts = |kind: &str| {
            let examples = super::super::facts::examples();
            examples.into_iter().find(|(own, _)| *own == kind).expect("it is there").1
        };
        let built_in = Templates::built_in();
        for kind in ["password_reset", "order_paid", "low_stock"] {
            assert_eq!(templates.render(kind, &facts(kind)), built_in.render(kind, &facts(kind)));
        }
        let own = templates.render("trial", &facts("trial"));
        assert_eq!((own.subject.as_str(), own.text.as_str()), ("Hi from Ann's <Teas>", "We can write.\n"));
    }
}
