%% Made by hand.
{application, demo,
 [{description, "A demo, \"quoted\""},
  {vsn, "1.2.3"},
  {modules, [demo, 'demo_sup']},
  {registered, []},
  {applications, [kernel, stdlib, cowlib]},
  {env, [{path, <<"x">>}, {limit, 16#ff}]},
  {mod, {demo, []}}]}.
