"""People's judgement: a blind study made from folders of pictures, shown in the browser, and reported.

`study` is what a study is, `making` makes one, `plan` says what each person sees, `store` keeps the answers, `server`
shows it, `screening` says whose answers count, `statistics` does the sums, `report` and `page` tell the result.
"""
