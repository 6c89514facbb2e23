//! `till review`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{Payload, Shop};
use super::output::{Column, Output, text_of};
use super::product::Limit;

#[derive(Subcommand)]
pub enum Options {
    /// Lists reviews, newest first, those too that are hidden
    ///
    /// till review list --product 12
    /// till review list --hidden
    /// till review list --json --limit 0 | jq 'select(.rating == 1)'
    #[command(verbatim_doc_comment)]
    List(List),
    /// Shows a review
    ///
    /// till review show 3
    #[command(verbatim_doc_comment)]
    Show {
        /// The review's id, the first column of `till review list`
        id: u64,
    },
    /// Takes a review out of sight, and out of the product's rating
    ///
    /// till review hide 3
    #[command(verbatim_doc_comment)]
    Hide {
        /// The review's id, the first column of `till review list`
        id: u64,
    },
    /// Puts a hidden review back
    ///
    /// till review unhide 3
    #[command(verbatim_doc_comment)]
    Unhide {
        /// The review's id, the first column of `till review list`
        id: u64,
    },
    /// Deletes a review for good; its writer may write another
    ///
    /// till review delete 3
    #[command(verbatim_doc_comment)]
    Delete {
        /// The review's id, the first column of `till review list`
        id: u64,
    },
}

#[derive(Args)]
pub struct List {
    /// Only those of the product with this id
    #[arg(long, value_name = "ID")]
    product: Option<u64>,
    /// Only those by the user with this id
    #[arg(long, value_name = "ID")]
    user: Option<u64>,
    /// Only those that are hidden
    #[arg(long)]
    hidden: bool,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    fn path(&self) -> String {
        let mut query = Vec::new();
        query.extend(self.product.map(|id| format!("product_id={id}")));
        query.extend(self.user.map(|id| format!("user_id={id}")));
        query.extend(self.hidden.then(|| "is_hidden=true".to_owned()));
        format!("/api/admin/reviews/?{}", query.join("&"))
    }
}

fn path(id: u64) -> String {
    format!("/api/admin/reviews/{id}/")
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::List(list) => {
            let columns = [
                Column("id", "id", true),
                Column("product", "product_id", true),
                Column("stars", "rating", true),
                Column("title", "title", false),
                Column("by", "user.name", false),
                Column("user", "user.id", true),
                Column("bought", "verified_purchase", false),
                Column("hidden", "is_hidden", false),
                Column("written", "created_at", false),
            ];
            list.limit.show(shop, &list.path(), &columns, out).await?;
        }
        Options::Show { id } => out.document(&shop.get(&path(id)).await?, describe),
        Options::Hide { id } => hide(id, true, shop, out).await?,
        Options::Unhide { id } => hide(id, false, shop, out).await?,
        Options::Delete { id } => {
            shop.call(Method::DELETE, &path(id), Payload::None).await?;
            out.document(&json!({"id": id, "deleted": true}), |_| format!("review {id} is deleted\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn hide(id: u64, is_hidden: bool, shop: &Shop, out: &Output) -> Result<(), CliError> {
    let body = Payload::Json(json!({"is_hidden": is_hidden}));
    let review = shop.call(Method::PATCH, &path(id), body).await?;
    let is = if is_hidden { "hidden" } else { "to be seen" };
    out.document(&review, |_| format!("review {id} is {is}\n"));
    Ok(())
}

fn describe(review: &Value) -> String {
    let mut text = String::new();
    for (label, name) in [
        ("review", "id"),
        ("product", "product_id"),
        ("by", "user.name"),
        ("user", "user.id"),
        ("stars", "rating"),
        ("title", "title"),
        ("bought", "verified_purchase"),
        ("hidden", "is_hidden"),
        ("written", "created_at"),
        ("changed", "updated_at"),
    ] {
        text.push_str(&format!("{label:<8} {}\n", text_of(review, name)));
    }
    let comment = text_of(review, "comment");
    if !comment.is_empty() {
        text.push_str(&format!("\n{comment}\n"));
    }
    text
}
