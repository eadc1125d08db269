# This is SnappyMail sieve script.
/*
BEGIN:FILTER:1
BEGIN:HEADER
eyJOYW1lIjoiQ2FmXHUwMGU5In0=
END:HEADER
*/
redirect "a@x.example";
/* END:FILTER */
