//! Constructora Robles: its people, a project with a daily report, a store with cement.

use serde_json::json;

use super::server::{self, Server};
use super::telling::{check, tell};
use super::{Phones, Result, Stage};

/// The company's short name.
pub const TENANT: &str = "robles";
/// Everybody's password. It is a demo.
pub const PASSWORD: &str = "campo-demo";
/// Login, name, roles.
const PEOPLE: [(&str, &str, &[&str]); 4] = [
    ("laura", "Laura Robles", &["supervisor"]),
    // On a small site the foremen fetch from the store themselves.
    ("juan", "Juan Pech", &["foreman", "warehouse_keeper"]),
    ("ana", "Ana Canul", &["foreman", "warehouse_keeper"]),
    ("pedro", "Pedro May", &["warehouse_keeper"]),
];

/// The records that the story is about.
pub struct Company {
    /// The server's address.
    pub server: String,
    /// In `proyectos`: where they build.
    pub project: String,
    /// In `avances`: today's report.
    pub report: String,
    /// In `avance_items`: the wall that is measured.
    pub wall: String,
    /// In `existencias`: the cement in the site's store.
    pub cement: String,
    /// The office's own system will book a delivery, with SQL.
    pub delivery: bool,
}

/// Makes it: accounts on the server's command line, data on the supervisor's tablet.
pub fn found(stage: &Stage, server: &Server, phones: &Phones) -> Result<Company> {
    tell("Constructora Robles signs up: a supervisor, two foremen, a warehouse keeper.");
    server::admin(stage, &["tenant", "create", TENANT, "--name", "Constructora Robles"])?;
    for (login, name, roles) in PEOPLE {
        let mut arguments = vec!["user", "create", "--tenant", TENANT, "--user", login];
        arguments.extend(["--name", name, "--password", PASSWORD]);
        arguments.extend(roles.iter().flat_map(|role| ["--role", role]));
        server::admin(stage, &arguments)?;
    }

    tell("Laura, the supervisor, enters the project, today's report and the stock on her tablet.");
    let laura = &phones.laura;
    laura.logs_in(&server.url, "Laura's tablet")?;
    laura.does(&["sync"])?;
    let project = laura.puts(
        "proyectos",
        &json!({ "nombre": "Torre Mirador", "codigo": "TM-01", "estado": "en_obra",
                 "latitud": 19.4325, "longitud": -99.1737, "radio_m": 150 }),
    )?;
    let report =
        laura.puts("avances", &json!({ "proyecto_id": project, "fecha": "2026-03-02" }))?;
    let wall = laura.puts(
        "avance_items",
        &json!({ "avance_id": report, "concepto": "Muro de block, eje A-3", "unidad": "m2",
                 "medida": "12.00" }),
    )?;
    let store = laura.puts("almacenes", &json!({ "nombre": "Bodega de obra", "tipo": "obra" }))?;
    let article = laura.puts(
        "articulos",
        &json!({ "codigo": "CEM-50", "nombre": "Cemento gris, bulto de 50 kg" }),
    )?;
    let cement = laura.puts(
        "existencias",
        &json!({ "almacen_id": store, "articulo_id": article, "cantidad": "120.000" }),
    )?;
    let sent = laura.does(&["sync"])?;
    check("the server took her 6 edits", &sent["applied"], &json!(6))?;
    check("and none has a problem", &laura.counts("problems")?, &json!(0))?;

    tell("Who works where is granted: a project or a store that is not granted is not seen.");
    let (site, store) = (format!("project:{project}"), format!("warehouse:{store}"));
    for (login, scope) in
        [("juan", &site), ("juan", &store), ("ana", &site), ("ana", &store), ("pedro", &store)]
    {
        let grant = ["user", "grant", "--tenant", TENANT, "--user", login, "--scope", scope];
        server::admin(stage, &grant)?;
    }
    Ok(Company {
        server: server.url.clone(),
        project,
        report,
        wall,
        cement,
        delivery: stage.database.has_sql(),
    })
}

/// How many bags the office's own system books in, with SQL.
pub const DELIVERY: i64 = 20;

/// The ERP books a delivery, past the server.
pub fn office_writes_sql(stage: &Stage, company: &Company) -> Result {
    tell("Meanwhile a truck brings 20 bags, and the ERP books them with plain SQL.");
    let left = stage.database.office_sql(&format!(
        "UPDATE almacen.existencias SET cantidad = cantidad + {DELIVERY} WHERE id = '{}' \
         RETURNING cantidad",
        company.cement
    ))?;
    check("PostgreSQL holds 120 + 20", &json!(left), &json!("140.000"))
}
