"""Turns a CSV file (headings, kinds, rows) into an Excel file: `python -m components.xlsx FROM TO`."""

import csv
import os
import sys

import xlsxwriter


def write(source: str, target: str) -> None:
    # The writer's own temporary files beside the target: whoever deletes that folder leaves nothing behind.
    options = {
        'constant_memory': True, 'strings_to_formulas': False, 'strings_to_urls': False,
        'tmpdir': os.path.dirname(target),
    }  # fmt: skip
    with open(source, encoding='utf-8', newline='') as file:
        book = xlsxwriter.Workbook(target, options)
        sheet = book.add_worksheet('Customers')
        lines = csv.reader(file)
        headings, kinds = next(lines), next(lines)
        bold = book.add_format({'bold': True})
        sheet.freeze_panes(1, 1)
        sheet.set_column(0, 0, 36)
        sheet.set_column(1, len(headings) - 1, 18)
        for column, heading in enumerate(headings):
            sheet.write_string(0, column, heading, bold)
        for row, cells in enumerate(lines, 1):
            for column, (cell, kind) in enumerate(zip(cells, kinds, strict=True)):
                if kind == 'number' and cell:
                    sheet.write_number(row, column, float(cell))
                else:
                    sheet.write_string(row, column, cell)
        book.close()


if __name__ == '__main__':
    os.nice(10)  # a file can wait, a page cannot
    write(sys.argv[1], sys.argv[2])
