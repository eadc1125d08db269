require ["variables","imap4flags","include"];
if hasflag ["a","1","global.g"] "x" { addflag "a" ["\\Seen", "${a-b}"]; }
