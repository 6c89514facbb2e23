//! Carriers, and where their parcels can be followed.

use schemars::JsonSchema;
use serde::Serialize;

use super::model::Tracking;
use crate::address::Address;
use crate::http::input::encode;

/// A carrier that the shop knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Carrier {
    pub name: String,
    /// `{number}` stands for the parcel's number; `{country}` and `{postal_code}` for where it goes.
    pub template: String,
}

/// A carrier whose parcels have links.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Carrier")]
pub struct CarrierView {
    name: String,
    /// Where a parcel can be followed: `{number}` stands for its number, `{country}` and `{postal_code}` for where it
    /// goes.
    url: String,
    /// Whether it stands in the shop's settings; others are built in.
    is_own: bool,
}

/// Carriers of the shop's own, which beat those that are built in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carriers(pub Vec<Carrier>);

/// What they are called (several names with a stroke between them), and where their parcels can be followed.
const KNOWN: &[(&str, &str)] = &[
    ("DHL|DHL Express", "https://www.dhl.com/global-en/home/tracking.html?submit=1&tracking-id={number}"),
    (
        "DHL Paket|DHL Germany|Deutsche Post DHL",
        "https://www.dhl.de/de/privatkunden/pakete-empfangen/verfolgen.html?piececode={number}",
    ),
    ("UPS|United Parcel Service", "https://www.ups.com/track?tracknum={number}"),
    ("FedEx|Federal Express", "https://www.fedex.com/fedextrack/?trknbr={number}"),
    ("USPS|United States Postal Service", "https://tools.usps.com/go/TrackConfirmAction?tLabels={number}"),
    ("DPD", "https://tracking.dpd.de/status/en_US/parcel/{number}"),
    ("DPD UK|DPD Local", "https://track.dpd.co.uk/parcels/{number}"),
    ("GLS", "https://gls-group.eu/track/{number}"),
    ("Hermes", "https://www.myhermes.de/empfangen/sendungsverfolgung/sendungsinformation/#{number}"),
    ("Evri", "https://www.evri.com/track/parcel/{number}"),
    ("Royal Mail", "https://www.royalmail.com/track-your-item#/tracking-results/{number}"),
    ("Parcelforce|Parcelforce Worldwide", "https://www.parcelforce.com/track-trace?trackNumber={number}"),
    ("La Poste|Colissimo", "https://www.laposte.fr/outils/suivre-vos-envois?code={number}"),
    ("Chronopost", "https://www.chronopost.fr/tracking-no-cms/suivi-page?listeNumerosLT={number}"),
    ("PostNL", "https://jouw.postnl.nl/track-and-trace/{number}-{country}-{postal_code}"),
    ("bpost", "https://track.bpost.cloud/btr/web/#/search?itemCode={number}&postalCode={postal_code}"),
    ("Swiss Post|Die Schweizerische Post", "https://service.post.ch/ekp-web/ui/entry/search/{number}"),
    ("Austrian Post|Österreichische Post", "https://www.post.at/sv/sendungsdetails?snr={number}"),
    (
        "Correos",
        "https://www.correos.es/es/es/herramientas/localizador/envios/detalle?tracking-number={number}",
    ),
    ("Poste Italiane", "https://www.poste.it/cerca/index.html#/risultati-spedizioni/{number}"),
    ("InPost", "https://inpost.pl/sledzenie-przesylek?number={number}"),
    ("PostNord", "https://tracking.postnord.com/en/?id={number}"),
    ("Canada Post", "https://www.canadapost-postescanada.ca/track-reperage/en#/search?searchFor={number}"),
    ("Australia Post|AusPost", "https://auspost.com.au/mypost/track/#/details/{number}"),
];

/// A name as it is compared: `dhl-express` is `DHL Express`.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Carriers {
    /// Reads `NAME=URL, NAME=URL`.
    ///
    /// # Errors
    /// What is allowed.
    pub fn read(text: &str) -> Result<Carriers, String> {
        let said =
            "must be NAME=URL, with commas between them; a URL begins with https:// and has {number} in it";
        let mut all = Vec::new();
        for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let (name, template) = one.split_once('=').ok_or(said)?;
            let (name, template) = (name.trim().to_owned(), template.trim().to_owned());
            if plain(&name).is_empty() || !template.starts_with("https://") || !template.contains("{number}")
            {
                return Err(said.into());
            }
            all.push(Carrier { name, template });
        }
        Ok(Carriers(all))
    }

    /// Those of the shop's own, then those that are built in.
    pub fn all(&self) -> Vec<CarrierView> {
        let own = self.0.iter().map(|one| (one.name.as_str(), one.template.as_str(), true));
        let known = KNOWN
            .iter()
            .map(|(names, template)| (names.split('|').next().unwrap_or_default(), *template, false));
        let all = own.chain(known);
        all.map(|(name, url, is_own)| CarrierView { name: name.into(), url: url.into(), is_own }).collect()
    }

    fn template(&self, carrier: &str) -> Option<&str> {
        let wanted = plain(carrier);
        let own = self.0.iter().find(|one| plain(&one.name) == wanted).map(|one| one.template.as_str());
        let is_it = |names: &str| names.split('|').any(|name| plain(name) == wanted);
        own.or_else(|| KNOWN.iter().find(|(names, _)| is_it(names)).map(|(_, template)| *template))
    }

    /// How a parcel to `address` is sent, with where it can be followed: what staff gave, else the carrier's page;
    /// none for a carrier that nobody knows.
    pub fn linked(&self, tracking: &Tracking, address: &Address) -> Tracking {
        let url = || {
            let dense = |text: &str| encode(&text.split_whitespace().collect::<String>());
            let number = dense(&tracking.number);
            let template = self.template(&tracking.carrier).filter(|_| !number.is_empty())?;
            Some(
                template
                    .replace("{country}", &dense(&address.country))
                    .replace("{postal_code}", &dense(&address.postal_code))
                    .replace("{number}", &number),
            )
        };
        Tracking { url: tracking.url.clone().or_else(url), ..tracking.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(carriers: &Carriers, carrier: &str, number: &str) -> Option<String> {
        let address = Address { country: "NL".into(), postal_code: "1012 AB".into(), ..Address::default() };
        let tracking = Tracking { carrier: carrier.into(), number: number.into(), url: None };
        carriers.linked(&tracking, &address).url
    }

    #[test]
    fn a_known_carrier_s_parcel_has_a_link_with_its_number_escaped() {
        let none = Carriers::default();
        for (carrier, number, url) in [
            ("ups", "1Z 999/AA1&x=#", "https://www.ups.com/track?tracknum=1Z999%2FAA1%26x%3D%23"),
            ("dhl-express", "1", "https://www.dhl.com/global-en/home/tracking.html?submit=1&tracking-id=1"),
            ("PostNL", "3S", "https://jouw.postnl.nl/track-and-trace/3S-NL-1012AB"),
            ("COLISSIMO", "8R", "https://www.laposte.fr/outils/suivre-vos-envois?code=8R"),
        ] {
            assert_eq!(link(&none, carrier, number).as_deref(), Some(url));
        }
        assert_eq!(link(&none, "Uncle Bob", "7"), None);
        assert_eq!(link(&none, "UPS", " "), None);
    }

    #[test]
    fn a_shop_s_own_carriers_beat_those_that_are_built_in() {
        let own = Carriers::read("Bob = https://bob.example/{number}?a=1, GLS=https://gls.example/{number}");
        let own = own.expect("two carriers");
        assert_eq!(link(&own, "bob", "7").as_deref(), Some("https://bob.example/7?a=1"));
        assert_eq!(link(&own, "GLS", "7").as_deref(), Some("https://gls.example/7"));
        for bad in
            ["Bob", "Bob=http://bob.example/{number}", "Bob=https://bob.example/", "=https://x/{number}"]
        {
            assert!(Carriers::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_built_in_is_as_good_as_what_shops_may_add() {
        for (names, template) in KNOWN {
            for name in names.split('|') {
                assert!(Carriers::read(&format!("{name}={template}")).is_ok(), "{name}");
                assert_eq!(Carriers::default().template(name), Some(*template), "{name} stands twice");
            }
        }
    }
}
