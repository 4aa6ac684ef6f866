// SPDX-License-Identifier: PostgreSQL
// The page: the programme, or with ?date=ID the sale of one date.

import {showProgramme} from "./programme.js";
import {showSale} from "./sale.js";

const dateId = new URLSearchParams(location.search).get("date");
if (dateId) showSale(dateId);
else showProgramme();
