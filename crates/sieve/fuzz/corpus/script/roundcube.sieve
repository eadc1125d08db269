require ["copy"];
# rule:[Away]
if anyof (true)
{
	redirect :copy "a@x.example";
}
