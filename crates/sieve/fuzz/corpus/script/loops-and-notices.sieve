require ["foreverypart","mime","extracttext","variables","enotify"];
foreverypart :name "l" { foreverypart { extracttext :first 3 "a"; break :name "l"; } set "b" "${a}"; }
notify :from "a .b@x" "mailto:a%2Cb?to=c@x,d@x&body=%0d";
