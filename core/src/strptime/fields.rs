//! Combines the fields that were read into a moment, as Python does.

use chrono::{Datelike, NaiveDate, Weekday};

use super::directive::{MONTHS, WEEKDAYS};
use super::moment::{Moment, Offset};
use super::number::{digit, number};

#[derive(Default)]
pub(super) struct Fields {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    hour: u32,
    hour12: Option<u32>,
    afternoon: Option<bool>,
    minute: u32,
    second: u32,
    microsecond: u32,
    weekday: Option<u32>,
    day_of_year: Option<u32>,
    week: Option<(u32, u32)>,
    iso_year: Option<i32>,
    iso_week: Option<u32>,
    offset: Option<Offset>,
}

impl Fields {
    pub(super) fn set(&mut self, directive: char, text: &str) -> Result<(), String> {
        match directive {
            'Y' => self.year = Some(number(text)? as i32),
            'G' => self.iso_year = Some(number(text)? as i32),
            'y' => {
                let two = number(text)? as i32;
                self.year = Some(if two <= 68 { two + 2000 } else { two + 1900 });
            }
            'm' => self.month = Some(number(text)?),
            'B' => self.month = Some(position(&MONTHS, text, false)? + 1),
            'b' => self.month = Some(position(&MONTHS, text, true)? + 1),
            'd' => self.day = Some(number(text)?),
            'H' => {
                self.hour = number(text)?;
                // If both %H and %I are given, the later one counts.
                self.hour12 = None;
            }
            'I' => self.hour12 = Some(number(text)?),
            'p' => self.afternoon = Some(text.eq_ignore_ascii_case("pm")),
            'M' => self.minute = number(text)?,
            'S' => self.second = number(text)?,
            'f' => {
                let digits = text.chars().count() as u32;
                self.microsecond = number(text)? * 10_u32.pow(6_u32.saturating_sub(digits));
            }
            'A' => self.weekday = Some(position(&WEEKDAYS, text, false)?),
            'a' => self.weekday = Some(position(&WEEKDAYS, text, true)?),
            'w' => self.weekday = Some((number(text)? + 6) % 7),
            'u' => self.weekday = Some(number(text)? - 1),
            'j' => self.day_of_year = Some(number(text)?),
            'U' => self.week = Some((number(text)?, 6)),
            'W' => self.week = Some((number(text)?, 0)),
            'V' => self.iso_week = Some(number(text)?),
            'z' => self.offset = Some(offset(text)?),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn resolve(mut self) -> Result<Moment, String> {
        if let Some(hour) = self.hour12 {
            // Python adds twelve only for PM and takes 12 AM as midnight; without %p the hour stays as it is.
            self.hour = match (self.afternoon, hour) {
                (Some(true), 12) => 12,
                (Some(true), hour) => hour + 12,
                (Some(false) | None, 12) => 0,
                (Some(false) | None, hour) => hour,
            };
        }
        let date = self.date()?;
        if self.second > 59 {
            return Err(format!("there is no second {}", self.second));
        }
        Ok(Moment {
            date,
            hour: self.hour,
            minute: self.minute,
            second: self.second,
            microsecond: self.microsecond,
            offset: self.offset,
        })
    }

    /// Finds the date as Python does: by the day of the year, else by week and weekday, else by month and
    /// day.
    fn date(&self) -> Result<NaiveDate, String> {
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        // Python takes 1900 for a missing year; for 29 February it computes in 1904 and then goes back to
        // 1900.
        let leap_day = self.year.is_none() && (month, day) == (2, 29);
        let year = self.year.unwrap_or(if leap_day { 1904 } else { 1900 });
        let date = match (self.day_of_year, self.week, self.iso_year.zip(self.iso_week), self.weekday) {
            (Some(day_of_year), ..) => ordinal(year, i64::from(day_of_year))?,
            (None, Some((week, first_day)), _, Some(weekday)) => {
                ordinal(year, day_of_week(january_1(year)?, week, first_day, weekday))?
            }
            (None, None, Some((iso_year, week)), Some(weekday)) => iso_date(iso_year, week, weekday)?,
            _ if leap_day => return Err("29 February needs a year".to_owned()),
            _ => {
                january_1(year)?;
                NaiveDate::from_ymd_opt(year, month, day)
                    .ok_or_else(|| format!("{year:04}-{month:02} has no day {day}"))?
            }
        };
        if leap_day {
            return date.with_year(1900).ok_or_else(|| "29 February needs a year".to_owned());
        }
        Ok(date)
    }
}

fn january_1(year: i32) -> Result<NaiveDate, String> {
    NaiveDate::from_ymd_opt(year, 1, 1).filter(|_| year > 0).ok_or_else(|| format!("there is no year {year}"))
}

/// Returns the day of `year` with this number, which may be before or after the year.
fn ordinal(year: i32, day_of_year: i64) -> Result<NaiveDate, String> {
    january_1(year)?
        .checked_add_signed(chrono::Duration::days(day_of_year - 1))
        .filter(|date| (1..=9999).contains(&date.year()))
        .ok_or_else(|| "there is no such day".to_owned())
}

/// Returns the number of the day in the year that begins with `january_1`; `first_day` of the week is 6 for
/// `%U`, 0 for `%W`.
fn day_of_week(january_1: NaiveDate, week: u32, first_day: u32, weekday: u32) -> i64 {
    let within_week = |weekday: u32| i64::from((weekday + 7 - first_day) % 7);
    let (first, day) = (within_week(january_1.weekday().num_days_from_monday()), within_week(weekday));
    // The days before the first whole week are week 0.
    if week == 0 { 1 + day - first } else { 1 + (7 - first) % 7 + 7 * (i64::from(week) - 1) + day }
}

fn iso_date(iso_year: i32, week: u32, weekday: u32) -> Result<NaiveDate, String> {
    Weekday::try_from(weekday as u8)
        .ok()
        .and_then(|weekday| NaiveDate::from_isoywd_opt(iso_year, week, weekday))
        .ok_or_else(|| format!("the year {iso_year} has no week {week}"))
        .and_then(|date| {
            Some(date)
                .filter(|date| (1..=9999).contains(&date.year()))
                .ok_or_else(|| "there is no such day".to_owned())
        })
}

/// Reads an offset as `%z` does: `+HHMM`, `+HH:MM`, `Z`, and with seconds if they are zero.
fn offset(text: &str) -> Result<Offset, String> {
    if text == "Z" {
        return Ok(Offset { seconds: 0 });
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: Vec<u32> = whole.chars().filter_map(digit).collect();
    if digits.len() == 6 && whole.matches(':').count() == 1 {
        return Err(format!("the offset {text:?} has a colon in only one of two places"));
    }
    let pair = |at: usize| digits.get(at).zip(digits.get(at + 1)).map_or(0, |(tens, ones)| tens * 10 + ones);
    if pair(4) != 0 || fraction.chars().any(|c| digit(c) != Some(0)) {
        return Err(format!("the offset {text:?} has seconds, which Redshift cannot read"));
    }
    let seconds = (pair(0) * 3600 + pair(2) * 60) as i32;
    if seconds >= 24 * 3600 {
        return Err(format!("the offset {text:?} is a day or more"));
    }
    Ok(Offset { seconds: if text.starts_with('-') { -seconds } else { seconds } })
}

/// Returns the index of `text` in `names`. The expression also accepts letters that fold to ASCII's (`ſ`),
/// which Python then refuses.
fn position(names: &[&str], text: &str, short: bool) -> Result<u32, String> {
    let found = names.iter().position(|name| {
        if short { name[..3].eq_ignore_ascii_case(text) } else { name.eq_ignore_ascii_case(text) }
    });
    found.map(|at| at as u32).ok_or_else(|| format!("{text:?} is not a known name"))
}
