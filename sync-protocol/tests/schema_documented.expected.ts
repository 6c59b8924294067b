// Made from the collection schemas by `sync-server schema typescript`. Do not edit.

/** A UUID in lower case with hyphens. */
export type Uuid = string;
/** A 64-bit integer: a string where it lies beyond ±(2^53 − 1). */
export type Integer = number | string;
/** An exact decimal with all digits of its scale, such as "12.50". */
export type Decimal = string;
/** A calendar day, such as "2026-11-24". */
export type CalendarDate = string;
/** An instant in UTC with microseconds, such as "2026-11-24T16:05:09.000000Z". */
export type Timestamp = string;
/** Any JSON document. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Jardines (`jardineria.jardines`). */
export interface JardinesRow {
  readonly id: Uuid;
  readonly nombre: string;
  readonly superficie_m2: Decimal | null;
  readonly tarifa?: Decimal | null;
  readonly plantas: readonly string[] | null;
  readonly plano: Json | null;
}

/** A new row of `jardines`. */
export interface JardinesInsert {
  /** Drawn by the device where it is not given. */
  id?: Uuid;
  nombre: string;
  superficie_m2?: Decimal | null;
  plantas?: string[] | null;
  plano?: Json | null;
}

/** A change to a row of `jardines`. */
export interface JardinesUpdate {
  nombre?: string;
  superficie_m2?: Decimal | null;
  plantas?: string[] | null;
  plano?: Json | null;
}

/** Tareas de la visita (`jardineria.visita_tareas`). */
export interface VisitaTareasRow {
  readonly id: Uuid;
  readonly visita_id: Uuid;
  readonly jardin_id: Uuid;
  readonly jardinero_id: Uuid | null;
  readonly tarea: string;
  readonly minutos: number | null;
}

/** A new row of `visita_tareas`. */
export interface VisitaTareasInsert {
  /** Drawn by the device where it is not given. */
  id?: Uuid;
  visita_id: Uuid;
  tarea: string;
  minutos?: number | null;
}

/** A change to a row of `visita_tareas`. */
export interface VisitaTareasUpdate {
  visita_id?: Uuid;
  tarea?: string;
  minutos?: number | null;
}

/** Visitas (`jardineria.visitas`). */
export interface VisitasRow {
  readonly id: Uuid;
  readonly jardin_id: Uuid;
  readonly jardinero_id: Uuid | null;
  readonly fecha: CalendarDate;
  readonly llegada: Timestamp | null;
  readonly salida: Timestamp | null;
  readonly costales: Integer;
  readonly lluvia_mm: number | null;
  readonly estado: "planeada" | "hecha";
  readonly cobrada: boolean | null;
  readonly firma: string | null;
}

/** A new row of `visitas`. */
export interface VisitasInsert {
  /** Drawn by the device where it is not given. */
  id?: Uuid;
  jardin_id: Uuid;
  jardinero_id?: Uuid | null;
  fecha: CalendarDate;
  llegada?: Timestamp | null;
  salida?: Timestamp | null;
  costales?: Integer;
  lluvia_mm?: number | null;
  estado?: "planeada" | "hecha";
  cobrada?: boolean | null;
  firma?: string | null;
}

/** A change to a row of `visitas`. */
export interface VisitasUpdate {
  jardin_id?: Uuid;
  jardinero_id?: Uuid | null;
  fecha?: CalendarDate;
  llegada?: Timestamp | null;
  salida?: Timestamp | null;
  costales?: Integer;
  lluvia_mm?: number | null;
  estado?: "planeada" | "hecha";
  cobrada?: boolean | null;
  firma?: string | null;
}

/** Every collection by its name. */
export interface Collections {
  jardines: { row: JardinesRow; insert: JardinesInsert; update: JardinesUpdate };
  visita_tareas: { row: VisitaTareasRow; insert: VisitaTareasInsert; update: VisitaTareasUpdate };
  visitas: { row: VisitasRow; insert: VisitasInsert; update: VisitasUpdate };
}

/** The name of a collection. */
export type CollectionName = keyof Collections;
