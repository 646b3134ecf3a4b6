"""The table that the Cloud Healthcare API writes into BigQuery: names, rows and schemas as plain data."""
