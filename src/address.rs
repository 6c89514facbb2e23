//! Postal addresses, as accounts keep and orders copy them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::described::Described;
use crate::http::input::{Fields, Input, line, word};

/// Where something is sent or billed to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    pub name: String,
    pub line1: String,
    pub line2: String,
    pub city: String,
    pub region: String,
    pub postal_code: String,
    /// ISO 3166 alpha-2, upper case.
    pub country: String,
    pub phone: String,
}

/// Every assigned ISO 3166-1 alpha-2 code.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR \
    BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET \
    FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ \
    IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML \
    MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS \
    PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL \
    TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

#[derive(Default)]
struct Country(String);

impl Described for Country {
    fn schema() -> Value {
        json!({"$ref": "#/components/schemas/Country"})
    }
}

/// The JSON Schema of a country in requests.
pub fn country_asked() -> Value {
    let upper = COUNTRIES.split_ascii_whitespace().map(str::to_owned);
    let lower = COUNTRIES.split_ascii_whitespace().map(str::to_ascii_lowercase);
    json!({"type": "string", "enum": upper.chain(lower).collect::<Vec<_>>(), "description": "ISO 3166-1 alpha-2."})
}

impl std::str::FromStr for Country {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        if COUNTRIES.split_ascii_whitespace().any(|code| code == upper) {
            Ok(Country(upper))
        } else {
            Err("must be an ISO 3166 alpha-2 code, such as DE or US".into())
        }
    }
}

impl Input for Address {
    fn read(from: &mut Fields<'_>) -> Self {
        let mut opt = |name| from.opt(name, line(0..=200)).unwrap_or_default();
        let (line2, region, phone) = (opt("line2"), opt("region"), opt("phone"));
        Address {
            name: from.req("name", line(1..=200)),
            line1: from.req("line1", line(1..=200)),
            line2,
            city: from.req("city", line(1..=200)),
            region,
            postal_code: from.opt("postal_code", line(0..=20)).unwrap_or_default(),
            country: from.req::<Country>("country", word()).0,
            phone,
        }
    }
}
