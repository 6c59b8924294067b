//! What the data looks like: one project, and measurements of it that are about 330 bytes each as
//! JSON, with texts that repeat (people, concepts) and one that does not (notes).

use uuid::Uuid;

/// The columns, in the order of `schemas/medicion.toml`.
pub const COLUMNS: [&str; 12] = [
    "obra_id",
    "fecha",
    "tomada",
    "trabajador",
    "concepto",
    "estado",
    "cantidad",
    "precio",
    "avance_pct",
    "latitud",
    "terminada",
    "notas",
];

/// Inserts rows `from` to `to` of a tenant's project. Ids grow with the number, as UUIDv7 do.
pub fn insert(table: &str, tenant: Uuid, project: Uuid, from: usize, to: usize) -> String {
    format!(
        "INSERT INTO {table} (tenant_id, id, {}) {}",
        COLUMNS.join(", "),
        select(tenant, project, from, to)
    )
}

fn select(tenant: Uuid, project: Uuid, from: usize, to: usize) -> String {
    format!(
        "SELECT '{tenant}'::uuid, \
           ('0190' || lpad(to_hex(n), 8, '0') || '7000' || '8' || substr(md5(n::text), 1, 15))::uuid, \
           '{project}'::uuid, date '2026-01-01' + (n / 400), \
           timestamptz '2026-01-01 07:00:00Z' + n * interval '37.000123 seconds', \
           (ARRAY['Juan Pech', 'Ana Canul', 'Pedro May', 'Luis Uc', 'María Chan'])[1 + n % 5], \
           'Muro de block de 15 cm, eje ' || chr(65 + n % 26) || '-' || (n % 40), \
           (ARRAY['abierta', 'revisada', 'pagada'])[1 + n % 3], \
           round((n % 9973) * 0.125, 3), round((n % 7919) * 1.07, 2), n % 101, \
           20.9 + (n % 10007) * 0.00001, n % 2 = 0, \
           'Nota ' || n || ': ' || md5(n::text) || ' ' || md5((n * 7)::text) \
         FROM generate_series({from}, {to} - 1) n"
    )
}
