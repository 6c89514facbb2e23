//! Settings that are wrong: all that is wrong with them is said at once, shows no secret, and is the caller's to mend.

use std::fs;

use crate::support::{Home, run};

#[test]
fn all_faults_are_said_at_once_whatever_finds_them() {
    let home = Home::new();
    let file = "\
[server]
public_url = \"https://ann:s3cr3t@shop.example.com\"
listen = \"127.0.0.1:8443\"
ops_listen = \"127.0.0.1:8443\"
[shop]
currency = \"KWD\"
[shipping]
flat = \"1.2345\"
free_from = \"free\"
[https]
cert_file = \"cert.pem\"
key_file = \"key.pem\"
[payment.stripe]
secret_key = \"sk_live_s3cr3t\"
api_base = \"https://s3cr3t@api.stripe.com\"
[payment.test]
enabled = true
[payment.paypal]
client_id = \"id\"
[backup]
daily_at = \"25:00\"
to = \"s3://no\"
[mail]
smtp_url = \"smtps://ann:s3cr3t@mail.example.com\"
admin_to = \"bob\"
[otlp]
interval_seconds = 3601
endpoint = \"https://otlp.example.com/?key=s3cr3t\"
";
    fs::write(home.dir.path().join("config.toml"), file).expect("written");
    let of = |words: &[&str]| {
        let mut command = home.command(words);
        command.env_remove("TILL_PAYMENT__TEST__ENABLED");
        run(command)
    };
    let said = of(&["config", "check"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
    let said = said.err.strip_prefix("error: ").expect("it is one");
    let faults = [
        "config.toml:27: otlp.interval_seconds is \"3601\"; it must be an integer from 0 to 3600",
        "config.toml:8: shipping.flat: must have at most 3 decimals",
        "config.toml:9: shipping.free_from: ",
        "config.toml:2: server.public_url: must have no user or password in it",
        "config.toml:15: payment.stripe.api_base: must have no user or password in it, because it is shown; \
         payment.stripe.secret_key is for that",
        "config.toml:28: otlp.endpoint: must have no ?",
        "config.toml:4: server.ops_listen: is where server.listen is",
        "payment.paypal.client_secret: is missing",
        "config.toml:21: backup.daily_at: must be a time of day",
        "config.toml:22: backup.to: must be s3://BUCKET",
        "mail.from: is missing",
        "config.toml:25: mail.admin_to: bob: ",
        "payment.test.enabled is on beside live keys of stripe",
        "payment.test.enabled is on beside live keys of paypal",
        "PayPal does not take KWD",
        "HTTPS: cert.pem can't be read",
    ];
    for fault in faults {
        assert!(said.lines().any(|line| line.starts_with(fault)), "{fault}\n{said}");
    }
    assert_eq!(said.lines().count(), faults.len(), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
    for words in [&["serve"][..], &["config", "show"], &["user", "list"]] {
        let said = of(words);
        assert!(said.code == 2 && !said.err.contains("s3cr3t"), "{words:?}: {said:?}");
    }
    assert!(!home.path().exists(), "nothing was made");
}

#[test]
fn a_flag_that_is_no_good_is_wrong_usage() {
    let home = Home::new();
    for (words, fault) in [
        (&["serve", "--domain", "*.example.com"][..], "--domain: https.domain is \"*.example.com\""),
        (&["serve", "--domain", ","], "it has no name in it"),
        (&["init", "--yes", "--currency", "ZZZ"], "--currency ZZZ: must be an ISO 4217 code"),
        (&["init", "--yes", "--admin", "nobody"], "--admin nobody: "),
        (&["init", "--yes", "--backup-at", "03:30"], "--backup-at goes with another flag"),
        (&["backup", "list", "s3://user:key@bucket"], "keys go into backup.s3_access_key"),
    ] {
        let said = home.run(words);
        assert!(said.code == 2 && said.err.contains(fault) && said.out.is_empty(), "{words:?}: {said:?}");
        assert!(!home.path().exists() && !home.dir.path().join("config.toml").exists(), "{words:?}");
    }
}
